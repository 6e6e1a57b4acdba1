#![no_main]
fuzz::libfuzzer!(generation);
