mod runtime;
mod slots;
