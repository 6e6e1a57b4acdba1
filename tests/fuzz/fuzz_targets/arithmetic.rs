#![no_main]
fuzz::libfuzzer!(arithmetic);
