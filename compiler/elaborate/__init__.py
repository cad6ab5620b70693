"""From syntax trees to typed programs: names, compile-time evaluation, blocks and nets."""
