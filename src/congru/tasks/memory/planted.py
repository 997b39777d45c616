"""The planted truth: do the exact shares of a trained network's memory lie on the steps that were planted?

With C_k the share written at step k (`congru.gates.memory`) and P the planted steps

    plain          sum_{k in P} |C_k| / sum_k |C_k|

C_k also holds what the network writes whatever it is shown: a constant that its bias undoes. The answer tells
sequences apart only by how C_k differs between them, so beside the plain share stands the one around the mean,

    centred        the same with C_k - mean of C_k over sequences in which step k is not planted
"""

from __future__ import annotations
