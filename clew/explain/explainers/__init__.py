"""How a unit is explained from where it fires: one file per explainer."""
