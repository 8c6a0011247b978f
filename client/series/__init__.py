"""From a patient's folder of mixed DICOM to three phases, each with its reason."""
