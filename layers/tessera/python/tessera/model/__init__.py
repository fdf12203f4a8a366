"""The model: what a session is and what may become of it. Pure: pydantic and nothing else."""
