"""A door for agents: tools of the Model Context Protocol, one for each thing that is asked of a desk."""
