#![no_main]
fuzz::libfuzzer!(grammar);
