//! The layers: what a module may import.
