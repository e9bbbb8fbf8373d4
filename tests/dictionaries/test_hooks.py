import pytest

from clew.dictionaries.hooks import ends, saelens_name, site
from clew.sites import Site


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("blocks.3.hook_resid_post", "resid.3"),
        ("blocks.3.hook_resid_pre", "resid.2"),
        ("blocks.0.hook_resid_pre", "embed"),
        ("blocks.3.hook_attn_out", "attn.3"),
        ("blocks.3.hook_mlp_out", "mlp.3"),
        ("blocks.3.attn.hook_z", "head.3"),
        ("blocks.3.mlp.hook_post", "neuron.3"),
        ("blocks.3.mlp.hook_in", "mlp_in.3"),
        ("resid_out_layer3", "resid.3"),
        ("resid_post_layer_12", "resid.12"),
        ("attn_out_layer0", "attn.0"),
        ("embed", "embed"),
        ("gpt_neox.layers.3", "resid.3"),
        ("transformer.h.11.mlp", "mlp.11"),
        ("layers.10.self_attn", "attn.10"),
        ("model.layers.5.output", "resid.5"),
        ("model.layers.5.self_attn.o_proj.input", "head.5"),
        ("model.layers.5.post_feedforward_layernorm.output", "mlp.5"),
    ],
)
def test_each_dialect_is_understood(name, address):
    assert site(name) == Site.parse(address)


@pytest.mark.parametrize("name", ["blocks.3.hook_resid_mid", "layers.x", "encoder.weight", "", "my layers.3"])
def test_other_names_are_not_guessed(name):
    assert site(name) is None


def test_a_hook_before_the_gain_of_its_norm_warns():
    with pytest.warns(UserWarning, match="our mlp_in is after it"):
        assert site("blocks.3.ln2.hook_normalized") == Site("mlp_in", 3)


def test_a_hook_before_the_norm_that_follows_the_mlp_warns():
    with pytest.warns(UserWarning, match="our mlp is after that norm"):
        assert site("blocks.3.mlp.hook_out") == Site("mlp", 3)


@pytest.mark.parametrize("address", ["embed", "resid.3", "attn.3", "mlp.3", "head.3", "neuron.3", "mlp_in.3"])
def test_what_we_write_we_read(address):
    assert site(saelens_name(Site.parse(address))) == Site.parse(address)


def test_the_users_word_wins_and_errors_say_what_to_pass():
    mine = (Site("mlp_in", 1), Site("mlp", 1))
    assert ends(mine, "blocks.9.hook_mlp_out", spans=True) == mine
    with pytest.raises(ValueError, match=r"it names no hook\); pass at='resid\.3'"):
        ends(None, None)
    with pytest.raises(ValueError, match=r"'blocks\.1\.hook_q' is in no dialect"):
        ends(None, "blocks.1.hook_q")
    with pytest.raises(ValueError, match=r"a transcoder.* but at is 'mlp\.1 -> mlp\.1'; pass at='mlp_in\.3 -> mlp\.3'"):
        ends((Site("mlp", 1), Site("mlp", 1)), spans=True)
    with pytest.raises(ValueError, match=r"SAELens has no hook for pattern\.3"):
        saelens_name(Site("pattern", 3))
