#![no_main]
fuzz::libfuzzer!(metrics);
