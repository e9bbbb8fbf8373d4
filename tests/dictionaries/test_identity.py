import pytest
import torch

from clew.dictionaries import Identity


def test_the_code_is_the_value_itself():
    neurons, x = Identity("neuron.3", 5), torch.randn(2, 5)
    assert (neurons.n_units, neurons.d_in, neurons.d_out, neurons.exact) == (5, 5, 5, True)
    for f in (neurons.encode, neurons.decode, neurons.write, neurons.pull, neurons.reconstruct, neurons.fold):
        assert f(x) is x


def test_it_cannot_write_elsewhere():
    with pytest.raises(ValueError, match=r"not mlp_in\.3 and mlp\.3"):
        Identity("mlp_in.3", 5, writes="mlp.3")
    with pytest.raises(ValueError, match="at least one coordinate"):
        Identity("mlp.3", 0)
