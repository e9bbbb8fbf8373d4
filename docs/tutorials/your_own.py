# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Your own behaviour, your own model
#
# A behaviour is pairs of prompts and the answers that tell them apart; a model is any `transformers` module that clew
# knows the parts of. Neither needs a dictionary: heads and neurons are units too.

# %% tags=["parameters"]
MODEL = "smollm2-135m"
SITES = ["resid.7", "resid.11", "resid.15", "resid.19"]  # whose coordinates are looked at

# %% [markdown]
# ## A behaviour of your own
#
# Each pair is a *clean* prompt, a *patch* prompt of as many tokens, and the answers that belong to either, with the blank
# that comes before them. Both ways round is better than one: what only prefers *is* to *are* then counts for nothing.

# %%
import clew

model = clew.open(MODEL)
nouns = {"manager": "managers", "teacher": "teachers", "doctor": "doctors", "farmer": "farmers", "writer": "writers"}
pairs = []
for one, many in nouns.items():
    for place in ("near the windows", "behind the tables"):
        singular, plural = f"The {one} {place}", f"The {many} {place}"
        pairs.append(clew.Pair(singular, plural, (" is",), (" are",)))
        pairs.append(clew.Pair(plural, singular, (" are",), (" is",)))
task = clew.Behaviour("my agreement", tuple(pairs), aligned=True).filter(model)
print(task, task.note)

# %% [markdown]
# `aligned=True` says that equal places in the prompts mean the same, so that nodes can be told apart by position. A pair
# whose prompts are of different length in this model's tokens, or whose answer is no single token, is named and left
# out. A file of pairs is read by its path, and `clew new-behaviour` writes one to start from.

# %%
task.save("mine.json")
task = clew.Behaviour.load("mine.json", model=model)

# %% [markdown]
# ## Heads and neurons
#
# The same verb, in other units. Scores are in the same unit everywhere: logits that the right answer loses. The usual method
# takes a path of its own to every site; with the heads of thirty layers, one path for all sites costs thirty times less.

# %%
heads = clew.find(model.heads(), task, by="integrated_gradients_inputs")
axes = heads.top(20).plot()
heads.top(5)

# %%
neurons = model.neurons(*SITES)  # the coordinates of the stream there; "neuron.11" are the hidden units of an MLP
found = clew.find(neurons, task)
clew.verify(neurons, task, found, by="curve", sizes=(10, 100, 1000), random=1)

# %% [markdown]
# ## Every edge between heads and MLPs
#
# `eap_ig_inputs` scores all edges at once. Outside the circuit, edges carry the patch prompt.

# %%
edges = clew.find(model, task, by="eap_ig_inputs", progress=clew.Progress("edges"))
report = clew.verify(model, task, edges, by="curve", sizes=(10, 100, 1000), random=1)
axes = report.plot("faithfulness")
# %%
axes = edges.strongest_edges(30).plot(edges=30)
# %% [markdown]
# ## A model of your own
#
# Hand over the module that you have; nothing is rewritten and nothing is left behind. Here a small Llama with random
# weights stands for it. The first time, clew tests by numbers what its addresses promise, and what does not hold for a
# model is refused in words: `clew check MODEL` prints the whole list.

# %%
from transformers import LlamaConfig, LlamaForCausalLM

config = LlamaConfig(
    vocab_size=len(model.tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4
)
mine = clew.open(LlamaForCausalLM(config).eval(), tokenizer=model.tokenizer)
run = mine.run([pair.clean for pair in task.pairs[:2]], read=["resid.1", "pattern.2"])
run

# %%
clew.find(mine.heads(), task).top(5)  # of random weights: nothing to believe, and verify would say so

# %% [markdown]
# Next: [name, group and read](name_and_read.py).
