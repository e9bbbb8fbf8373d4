# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # Name, group and read
#
# A score says that a unit matters, not what it means. Here you look at where units fire in a text, have names made for
# them that are tested on other text, put nodes that act alike into groups, and test whether they do act as one.

# %% tags=["parameters"]
from clew.data.text.texts import wikipedia_leads
from clew.dictionaries.packs import pack_labels

MODEL = "smollm2-135m"
DICTIONARIES = "smollm2-135m"
SITES = ["resid.11", "resid.15"]
NAMES = pack_labels("smollm2-135m", SITES)  # names that come with the pack
TEXTS = wikipedia_leads()[:400]  # a list of strings; any of yours will do
TOKENS = 20_000  # a first look; where names shall be trusted read 100,000 or more
PAIRS = 32

# %%
import clew

model = clew.open(MODEL)
saes = [sae for sae in clew.Dictionary.load(DICTIONARIES) if str(sae.writes) in SITES]
view = model.through(*saes)
task = clew.Behaviour.load("agreement/across_pp", model=model, n=PAIRS).filter(model)
circuit = clew.find(view, task).top(24)
circuit = clew.find(view, task, circuit, by="edges")

# %% [markdown]
# ## Where do they fire?
#
# One pass over a text writes down every firing of every unit. What comes of it is a folder that answers at once.

# %%
index = clew.index(model, saes, TEXTS, to="fires", tokens=TOKENS, progress=clew.Progress("reading"))
units = [node for node in circuit if node.unit >= 0]
strongest = units[0]
print(strongest.address)
for context in index.top(strongest.site, strongest.unit, 4):
    print(f"{context.value:7.2f}  {context}")

# %% [markdown]
# The strongest contexts flatter: look at weaker ones, too.

# %%
for band in index.quantiles(strongest.site, strongest.unit, n=3, each=2):
    print(f"{band.low:.2f} to {band.high:.2f}, {band.count:.0f} firings")
    for context in band.contexts:
        print("   ", context)

# %%
index.summary(strongest.site).to_frame().loc[[node.unit for node in units if node.site == strongest.site]]

# %% [markdown]
# ## Names that were tested
#
# An explanation here is a rule that runs. It is scored on documents that it was not made from, beside the rule of another
# unit; a unit of which no rule holds stays without a name, which is better than a wrong one. Of a short text few hold.

# %%
addresses = list(dict.fromkeys(f"{node.site}/{node.unit}" for node in units[:4]))
labels = clew.explain(index, addresses, progress=clew.Progress("explaining"))
labels

# %% [markdown]
# The pack's own names were made from more text. Where both speak, what was tested by more comes first; and what you say
# yourself comes before all.

# %%
named = circuit.explained(NAMES | labels)
named = named.labelled({addresses[0]: "plural nouns"})
named

# %% [markdown]
# ## Groups
#
# Nodes that read the same, write the same and fire on the same are put together. `top_tokens` says for each what it fires on
# in the prompts and what it promotes; from that groups have their names, too.

# %%
from clew.circuits.grouping import grouped
from clew.explain.top_tokens import top_tokens

groups = grouped(top_tokens(view, named, task.prompts()))
for group in groups.supernodes:
    print(f"{group.name}: {', '.join(group.members)}")

# %% [markdown]
# Does a group act as one? Its members are taken out at once: *joint* is by how much the behaviour drops, *predicted* what
# their scores say of it. Then one half stands in for the other: *kept* is 1 where nobody notices. Groups drawn at random
# at the same places stand beside. Few groups pass, and a group that does not is only a way to tidy a drawing.

# %%
clew.verify(view, task, groups, by="supernodes", repeats=2, draws=2, progress=clew.Progress("groups"))

# %%
axes = groups.plot()
# %%
from clew.apps.pages.circuit import page
from clew.apps.pages.inline import Inline

Inline(page(groups))

# %% [markdown]
# Next: [change and check](change_and_check.py).
