"""Dictionaries: other bases for what flows at a site; one file per type."""

from clew.dictionaries.abstopk import AbsTopK as AbsTopK
from clew.dictionaries.batchtopk import BatchTopK as BatchTopK
from clew.dictionaries.codebook import Codebook as Codebook
from clew.dictionaries.cross_layer_transcoder import CrossLayerTranscoder as CrossLayerTranscoder
from clew.dictionaries.crosscoder import Crosscoder as Crosscoder
from clew.dictionaries.dictionary import Dictionary as Dictionary
from clew.dictionaries.dictionary import Learned as Learned
from clew.dictionaries.directions import Directions as Directions
from clew.dictionaries.gated import Gated as Gated
from clew.dictionaries.identity import Identity as Identity
from clew.dictionaries.itda import ITDA as ITDA
from clew.dictionaries.jumprelu import JumpReLU as JumpReLU
from clew.dictionaries.partition import Partition as Partition
from clew.dictionaries.relu import ReLU as ReLU
from clew.dictionaries.top_afa import TopAFA as TopAFA
from clew.dictionaries.topk import TopK as TopK
