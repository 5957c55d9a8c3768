//! What is built runs: by itself, by its own apt, and by a container engine.
