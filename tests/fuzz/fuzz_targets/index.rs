#![no_main]
fuzz::libfuzzer!(index);
