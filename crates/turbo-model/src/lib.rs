//! GGUF metadata to a plan: layers and steps as data, one small file per architecture family.
