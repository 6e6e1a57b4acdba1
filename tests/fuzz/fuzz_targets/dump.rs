#![no_main]
fuzz::libfuzzer!(dump);
