"""An institution: everything that sees a patient."""
