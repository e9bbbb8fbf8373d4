# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Change it and check it
#
# An *edit* is a function at an address: hold a unit at zero, add a vector to the stream, rewrite a weight. Several of them
# are a *stack*, which is printed, saved, undone, and measured beside a random edit of the same size. The model that it was
# made for is never touched.

# %% tags=["parameters"]
from clew.data.text.texts import wikipedia_leads

MODEL = "smollm2-135m"
DICTIONARIES = "smollm2-135m"
SITES = ["resid.11"]
TEXTS = wikipedia_leads()[:300]
TOKENS = 10_000  # of ordinary text, from which the rewriting of a fact takes statistics
LAYER = 3  # where the fact is rewritten
PAIRS = 24

# %% [markdown]
# ## Take a unit out

# %%
import clew

model = clew.open(MODEL)
saes = [sae for sae in clew.Dictionary.load(DICTIONARIES) if str(sae.writes) in SITES]
view = model.through(*saes)
task = clew.Behaviour.load("agreement/across_pp", model=model, n=PAIRS).filter(model)
circuit = clew.find(view, task)
units = circuit.keep(circuit.unit >= 0).top(3).everywhere()  # units alone, and wherever they stand
stack = clew.Stack(units.zero(), "the three strongest units, held at zero")
stack

# %% [markdown]
# What was changed is counted: an edit that met no position would be an error, not a silence.

# %%
edited = view.edited(stack)
prompts = ["The keys to the cabinet", "The key to the cabinet"]
print(view.generate(prompts, max_new_tokens=1))
edited.generate(prompts, max_new_tokens=1)

# %% [markdown]
# How much of the behaviour is left without them, on prompts that did not choose them? That is *completeness*: 1 if
# nothing is missing, 0 if all of it is gone. And what does ordinary text say of it?

# %%
text = clew.cut(TEXTS, model.tokenizer, limit=TOKENS)
print("completeness", clew.verify(view, task, units)["completeness"].said())
clew.verify(view, text, stack, tokens=400)
# %% [markdown]
# ## Rewrite a fact
#
# `rome` changes one weight so that a subject gets another answer. The change is kept as two vectors, in a twin that
# shares every other tensor with the model.

# %%
fact = clew.Facts.one("The capital of {} is", "France", target="Rome", old="Paris")
rewritten = clew.edit(model, fact, by="rome", layer=LAYER, text=text, contexts=3, progress=clew.Progress("rewriting"))
rewritten

# %%
changed = model.edited(rewritten)
for who in (model, changed):
    print(who.generate("The capital of France is", max_new_tokens=2))

# %% [markdown]
# Did it hold, beside a random edit of the same size? A fact that comes with paraphrases and neighbours is asked those, too.
# And ordinary text should stay as it is.

# %%
report = clew.verify(model, fact, rewritten)
report

# %%
axes = report.plot()

# %%
clew.verify(model, text, rewritten, tokens=400)

# %% [markdown]
# ## Keep it, or take it back

# %%
rewritten.save("rome.safetensors")
again = clew.Stack.load("rome.safetensors")
print(again)
assert changed.undo(len(again)).body is model.body  # exactly the old weights: the same tensors

# %% [markdown]
# Next: [your own dictionaries](your_own_dictionaries.py).
