import torch

from clew.dictionaries import TopAFA
from clew.training import Plan, train
from clew.training.objective import Clock
from clew.training.objectives.top_afa import top_afa
from tests.training.planted_rows import rows


def test_the_loss_is_that_of_a_full_sort():
    x = rows(200)[0].double()
    fit = top_afa(units=24, penalty=3.0)
    fit.start(x, x, torch.Generator().manual_seed(0))
    t, code = fit.tensors, []
    for row in x - t["b_dec"]:
        act = (t["W_enc"] @ row).relu()
        order = act.argsort(descending=True)
        count = (act[order].square().cumsum(0).sqrt() - row.norm()).abs().argmin() + 1
        code.append(torch.zeros_like(act).index_put((order[:count],), act[order[:count]]))
    code = torch.stack(code)
    error = (code @ t["W_dec"] + t["b_dec"] - x).square().sum(1).mean()
    length = (code.norm(dim=1) - (x - t["b_dec"]).norm(dim=1)).square().mean()
    torch.testing.assert_close(fit.loss(x, x, Clock(1, 9)), (error + 3 * length) / fit.state["variance"])


def test_there_is_no_encoder_bias_and_a_code_is_about_as_long_as_its_row():
    x = rows(4000)[0]
    (made,) = train({"resid.1": 5 * x + 1}, [Plan("top_afa", "resid.1", options={"units": 24})], steps=150, batch=256)
    assert isinstance(made, TopAFA) and not made.b_enc.any()
    ratio = made.encode(5 * x + 1).norm(dim=1) / (5 * x + 1 - made.b_dec).norm(dim=1)
    assert ((ratio - 1).abs() < 0.2).float().mean() > 0.9
