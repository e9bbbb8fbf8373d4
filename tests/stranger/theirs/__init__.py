"""What others add to clew, each as small as it can be."""
