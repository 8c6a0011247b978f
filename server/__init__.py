"""The coordinator: never sees a patient and needs no imaging library."""
