"""When two pictures are one: fingerprints that propose, alignment that judges."""
