"""The emitters of C, the functions they call, and the compilers that try what they write."""
