#![no_main]
fuzz::libfuzzer!(settings);
