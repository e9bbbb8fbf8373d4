"""The component graph of a model: who writes into its stream, who reads it, and runs with edges cut."""
