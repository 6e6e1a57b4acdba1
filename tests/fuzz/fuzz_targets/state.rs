#![no_main]
fuzz::libfuzzer!(state);
