"""How an explanation is tested on documents it was not made from: one file per score."""
