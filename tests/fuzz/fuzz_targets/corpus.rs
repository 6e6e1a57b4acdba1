#![no_main]
fuzz::libfuzzer!(corpus);
