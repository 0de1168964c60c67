"""What is written about a patient: notes that are signed, problems, documents, and results beside what they said before."""
