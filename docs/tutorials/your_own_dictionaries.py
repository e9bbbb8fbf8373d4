# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Your own dictionaries
#
# No sparse autoencoders for your model? Learn some. One pass records what flows at the sites that you name; any number of
# dictionaries learn from the recording side by side; each is measured on text that it has not seen; and then it is a view
# like any other. A first look takes minutes on two cores; dictionaries to work with want a GPU and a hundred times the text.

# %% tags=["parameters"]
from clew.data.text.texts import wikipedia_leads

MODEL = "smollm2-135m"
SITES = ["resid.11"]  # each more takes as long again
TEXTS = wikipedia_leads()[:300]  # a list of strings; any of yours will do
TOKENS = 20_000
STEPS = 200
UNITS, ACTIVE = 1152, 32  # how many units, and how many of them are on at a token
PAIRS = 24  # of prompts, for the circuit

# %% [markdown]
# ## Record

# %%
import clew

model = clew.open(MODEL)
windows = clew.cut(TEXTS, model.tokenizer, limit=TOKENS, context=64)
learn, held = windows.split(0.95)
store = clew.record(model, learn, sites=SITES, to="activations", progress=clew.Progress("recording"))
store

# %% [markdown]
# ## Learn
#
# A *plan* names an objective, a site, and the objective's own options. Killed, the training goes on where it stopped.

# %%
options = {"units": UNITS, "k": ACTIVE}
plans = [clew.Plan(by, site, options=options) for by in ("topk", "batchtopk") for site in store.sites]
saes = clew.train(store, plans, to="dictionaries", steps=STEPS, batch=512, progress=clew.Progress("learning"))
saes

# %% [markdown]
# ## Measure
#
# On text that no dictionary has seen. *L0* is how many units are on at a token; *FVU* is the share of the variance that is
# not explained; *loss recovered* is 1 if the model predicts as well with the reconstruction in the place of the stream, and
# 0 if no better than with the mean (or with zero) there; *dead* is the share of units that never fire.

# %%
reports = [clew.verify(model, held, sae) for sae in saes]
reports[0]

# %%
import pandas

columns = {
    f"{plan.by} at {plan.reads}": report.to_frame().set_index(["measure", "of"])["value"]
    for plan, report in zip(plans, reports, strict=True)
}
pandas.DataFrame(columns).loc[["L0", "FVU", "loss recovered", "dead"]].round(3)

# %% [markdown]
# ## Use
#
# Do a few of their units carry more of a behaviour than as many neurons of the same sites? Ask on held-out prompts. After
# minutes of learning they already do where circuits are smallest: look at 3 and 10 nodes, and at the intervals.

# %%
view = model.through(*saes[: len(SITES)])
task = clew.Behaviour.load("agreement/across_pp", model=model, n=PAIRS).filter(model)
sizes = (3, 10, 30, 100)
report = clew.verify(view, task, clew.find(view, task), by="curve", sizes=sizes, random=3)
neurons = model.neurons(*SITES)
report += clew.verify(neurons, task, clew.find(neurons, task), by="curve", sizes=sizes, random=0)
report

# %%
axes = report.plot()
# %%
saes[0].save("my-sae", format="saelens")  # or as clew's own, without format; others read it
clew.Dictionary.load("my-sae")

# %% [markdown]
# More of each step: [Dictionaries](../dictionaries.md).
