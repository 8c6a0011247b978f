"""Tables and folders as people have them, brought to the data contract with a written account."""
