"""What the server is asked, a file for each of folder, models and runs. Every answer is a value of the desk."""
