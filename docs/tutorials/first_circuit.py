# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # A first circuit
#
# After *The manager near the windows* a language model writes *is*, not *are*: it has kept track of the subject, past a
# nearer noun in the plural. Which parts of the model do that? In ten minutes you will find them, see how they are
# wired, check on other prompts that they are enough, and take one out to see what breaks.

# %% tags=["parameters"]
from clew.dictionaries.packs import pack_labels

MODEL = "smollm2-135m"  # a bundled name, a hub id, a folder or a GGUF file
DICTIONARIES = "smollm2-135m"  # a pack of sparse dictionaries, or a path to yours
SITES = ["resid.7", "resid.11", "resid.15", "resid.19"]  # the residual stream after four of the 30 blocks
NAMES = pack_labels("smollm2-135m", SITES)  # what the pack says of its units
PAIRS = 32  # more pairs, narrower intervals

# %% [markdown]
# ## A model, seen in features
#
# The model is the `transformers` module as it is. A *dictionary* (here sparse autoencoders) writes the stream at a site
# as a sum of a few of its many *units*. A *view* is the same model seen through dictionaries: its outputs are
# unchanged to the bit, because what a dictionary leaves out is carried along as an *error node*.

# %%
import clew

model = clew.open(MODEL)
saes = [sae for sae in clew.Dictionary.load(DICTIONARIES) if str(sae.writes) in SITES]
view = model.through(*saes)
view

# %% [markdown]
# ## A behaviour
#
# Pairs of prompts that differ in the one thing that is asked about. Half of them are for finding, half for checking.
# `filter` keeps the pairs that the model gets right, for of a thing that it cannot do there is nothing to find.

# %%
task = clew.Behaviour.load("agreement/across_pp", model=model, n=PAIRS).filter(model)
pair = task.pairs[0]
print(task)
print(f"{pair.clean!r} goes on with {pair.answers}, {pair.patch!r} with {pair.patch_answers}")

# %% [markdown]
# ## Find
#
# Every unit at every position gets a score: by how much does the preference for the right verb (a difference of logits)
# drop when this unit takes the value that it has in the other prompt?

# %%
scores = clew.find(view, task, progress=clew.Progress("scoring"))
circuit = scores.top(30).explained(NAMES)
circuit

# %% [markdown]
# Many names are rules that were found by looking at text, and all of them were tested on other text; a unit without a
# name is one of which no rule held. `circuit.to_frame()` gives the same to pandas.
#
# ## Check
#
# *Faithfulness* is 1 if the circuit alone, with everything else taken out, does all that the model does, and 0 if it
# does nothing. It is measured on the other half of the prompts, beside random units. Neurons of the same sites say what
# the dictionaries are good for.

# %%
neurons = model.neurons(*[sae.writes for sae in saes])
found_neurons = clew.find(neurons, task)
sizes = (3, 10, 30, 100, 300)
report = clew.verify(view, task, scores, by="curve", sizes=sizes, random=1, progress=clew.Progress("features"))
report += clew.verify(
    neurons, task, found_neurons, by="curve", sizes=sizes, random=0, progress=clew.Progress("neurons")
)
report

# %%
axes = report.plot()
# %% [markdown]
# ## How it is wired
#
# `by="edges"` takes a circuit and says how much of each node's effect comes through each node that it reads.

# %%
wired = clew.find(view, task, circuit, by="edges", progress=clew.Progress("wiring"))
axes = wired.plot()
# %% [markdown]
# The same as a page to explore: hover, search, pin. It is one file that needs no network, and here it runs in a frame
# of its own that reaches nothing else.

# %%
from clew.apps.pages.circuit import page
from clew.apps.pages.inline import Inline

Inline(page(wired, report))

# %% [markdown]
# ## Take them out
#
# The four strongest units, held at zero wherever they stand, in a new model; `view` is as it was. Does the verb change, in a
# sentence that none of this was found on?

# %%
strongest = circuit[:4]
edited = view.edited(strongest.everywhere().zero())
for prompt in ("The keys to the cabinet", "The key to the cabinet"):
    print(view.generate(prompt, max_new_tokens=1), "|", edited.generate(prompt, max_new_tokens=1))
strongest

# %%
wired.save("agreement.json")  # the page from a shell: clew show agreement.json

# %% [markdown]
# Next: [your own behaviour and model](your_own.py), [name, group and read](name_and_read.py),
# [change and check](change_and_check.py), [your own dictionaries](your_own_dictionaries.py).
