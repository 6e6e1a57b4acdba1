#![no_main]
fuzz::libfuzzer!(address);
