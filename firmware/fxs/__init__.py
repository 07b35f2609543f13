"""The analog line. Knows nothing of SIP, rates or the page; imports nothing of ours but `clock`."""
