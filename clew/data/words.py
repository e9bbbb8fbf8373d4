"""The words that our templates are filled with. Common ones, so that most are one token in most vocabularies."""

PEOPLE: dict[str, str] = {
    word: f"{word}s"
    for word in """
    actor artist author baker banker barber brother builder captain chef clerk client coach cook cousin customer dancer
    daughter dealer designer director doctor driver editor engineer expert farmer father fighter friend gardener girl
    boy guard guest guide historian hunter journalist judge king lawyer leader lecturer manager mayor mechanic
    member minister mother musician neighbor nurse officer owner painter parent partner patient pilot player poet
    president priest prince producer professor programmer queen rider runner sailor scholar scientist senator servant
    singer sister soldier speaker student surgeon tailor teacher tenant tourist trader trainer uncle aunt user victim
    visitor waiter worker writer critic colonel consultant dentist architect accountant adult agent athlete
    analyst biologist buyer candidate carpenter collector counselor creator detective donor employee employer
    explorer inspector inventor investor knight landlord librarian merchant monk observer operator physicist
    politician psychologist publisher refugee reporter researcher resident rival ruler seller sponsor
    stranger supervisor teenager therapist traveler tutor veteran viewer villager volunteer voter warrior
    """.split()
} | {
    "man": "men",
    "woman": "women",
    "child": "children",
    "lady": "ladies",
    "baby": "babies",
    "wife": "wives",
}
"""Singular to plural."""

THINGS: dict[str, str] = {
    word: f"{word}s"
    for word in """
    bag bed bike boat book bottle bridge building camera candle car chair clock coin computer cup desk door
    engine fence flag flower fountain garden gate hill house lake lamp letter machine mirror mountain painting phone
    picture plant ring river road rock room rope shop sign stone table tent tower train tree truck tunnel vehicle wall
    wheel window
    """.split()
} | {"bus": "buses", "box": "boxes", "shelf": "shelves", "church": "churches", "bench": "benches", "knife": "knives"}

PLACE_WORDS = ("near", "behind", "beside", "by", "above", "below")
"""Prepositions between a person and a thing."""

VERBS_OF_FEELING = (
    ("like", "likes"),
    ("love", "loves"),
    ("hate", "hates"),
    ("admire", "admires"),
    ("help", "helps"),
    ("know", "knows"),
    ("see", "sees"),
    ("want", "wants"),
    ("need", "needs"),
    ("trust", "trusts"),
)
"""(plural, singular) of verbs that a person does to a person."""

SINGULAR_PLURAL_VERBS = ((" is", " are"), (" was", " were"), (" has", " have"), (" does", " do"))

MEN = """
James John Robert Michael William David Richard Joseph Thomas Charles Daniel Matthew Anthony Mark Paul Steven Andrew
Kevin Brian George Edward Jason Jeffrey Ryan Jacob Gary Nicholas Eric Jonathan Stephen Larry Justin Scott Brandon
Benjamin Samuel Frank Gregory Raymond Patrick Alexander Jack Dennis Jerry Peter Henry Adam Arthur Harry Fred Simon
Martin Philip Louis Oliver Luke Tom Bob Jim Mike Steve Tim Dan Joe Ben Sam
""".split()

WOMEN = """
Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Sarah Karen Lisa Nancy Margaret Sandra Ashley Emily Donna
Michelle Carol Amanda Melissa Deborah Stephanie Rebecca Laura Helen Sharon Cynthia Amy Kathleen Angela Anna Brenda
Pamela Nicole Emma Samantha Katherine Christine Rachel Maria Heather Diane Julie Joyce Victoria Kelly Christina Joan
Evelyn Lauren Olivia Judith Martha Alice Jane Kate Lucy Sophie Grace Ellen Rose Claire Julia
""".split()

MALE_JOBS = """
mechanic carpenter plumber farmer guard sheriff soldier builder butcher driver captain pilot engineer miner boxer
janitor fisherman knight wizard priest monk banker colonel
""".split()

FEMALE_JOBS = """
nurse maid housekeeper receptionist secretary librarian hairdresser nanny stylist ballerina babysitter dancer midwife
model cheerleader nun waitress actress hostess princess witch
""".split()
"""Occupations by the pronoun that English text most often gives them."""

MALE_RELATIVES = (
    "man",
    "boy",
    "father",
    "brother",
    "uncle",
    "husband",
    "grandfather",
    "king",
    "prince",
    "gentleman",
    "actor",
    "waiter",
)
FEMALE_RELATIVES = (
    "woman",
    "girl",
    "mother",
    "sister",
    "aunt",
    "wife",
    "grandmother",
    "queen",
    "princess",
    "lady",
    "actress",
    "waitress",
)
"""Words that carry a gender by meaning; the two lists are parallel."""

STATES = "tired late happy angry sad hungry proud nervous early busy sick excited".split()

PLACES = (
    "store school office park hospital station restaurant garden library museum market beach bar church farm".split()
)

OBJECTS = (
    "book drink ring gift letter ball flower key coin map pen watch hat bag cup card phone toy bottle basket".split()
)

THINGS_BY_COLOR = {
    "yellow": "lemon banana corn butter sunflower",
    "green": "grass leaf frog cucumber lime broccoli spinach emerald",
    "white": "snow milk salt sugar rice cotton swan cloud",
    "black": "coal crow tar night",
    "red": "tomato blood strawberry cherry brick ruby",
    "brown": "chocolate mud soil wood coffee",
    "orange": "carrot pumpkin",
    "pink": "pig flamingo",
    "gray": "elephant mouse ash smoke cement",
    "blue": "sky ocean sea sapphire",
    "purple": "grape plum eggplant lavender",
}
"""Things of which most people would name one color, by that color."""

COLOR_OF = {thing: color for color, things in THINGS_BY_COLOR.items() for thing in things.split()}

EVENTS = """
war battle siege project plan contract journey campaign conflict reign crisis trial voyage strike study construction
expedition program alliance tour marriage occupation partnership famine
""".split()
"""Nouns that last for years."""

NOUNS = """
apple stone river chair cloud paper music glass horse tiger bread lemon ocean field tower piano silver candle garden
window bridge forest pocket rocket button mirror copper cotton camera planet summer winter dragon hammer needle
basket blanket carpet engine ladder bottle marble market castle island valley desert shadow pepper butter cheese
coffee sugar dinner monkey rabbit spider turtle eagle falcon whale salmon flower thunder
""".split()
"""Words to repeat, chosen to have nothing to do with one another."""

COUNTRIES: tuple[tuple[str, str, str, str], ...] = (
    ("France", "Paris", "French", "Europe"),
    ("Germany", "Berlin", "German", "Europe"),
    ("Italy", "Rome", "Italian", "Europe"),
    ("Spain", "Madrid", "Spanish", "Europe"),
    ("Portugal", "Lisbon", "Portuguese", "Europe"),
    ("Greece", "Athens", "Greek", "Europe"),
    ("Russia", "Moscow", "Russian", "Europe"),
    ("Poland", "Warsaw", "Polish", "Europe"),
    ("Sweden", "Stockholm", "Swedish", "Europe"),
    ("Norway", "Oslo", "Norwegian", "Europe"),
    ("Denmark", "Copenhagen", "Danish", "Europe"),
    ("Finland", "Helsinki", "Finnish", "Europe"),
    ("Hungary", "Budapest", "Hungarian", "Europe"),
    ("Austria", "Vienna", "German", "Europe"),
    ("Ireland", "Dublin", "English", "Europe"),
    ("Netherlands", "Amsterdam", "Dutch", "Europe"),
    ("Romania", "Bucharest", "Romanian", "Europe"),
    ("Bulgaria", "Sofia", "Bulgarian", "Europe"),
    ("Ukraine", "Kyiv", "Ukrainian", "Europe"),
    ("Serbia", "Belgrade", "Serbian", "Europe"),
    ("Croatia", "Zagreb", "Croatian", "Europe"),
    ("Iceland", "Reykjavik", "Icelandic", "Europe"),
    ("Belgium", "Brussels", "Dutch", "Europe"),
    ("England", "London", "English", "Europe"),
    ("Scotland", "Edinburgh", "English", "Europe"),
    ("Turkey", "Ankara", "Turkish", "Asia"),
    ("Japan", "Tokyo", "Japanese", "Asia"),
    ("China", "Beijing", "Chinese", "Asia"),
    ("Thailand", "Bangkok", "Thai", "Asia"),
    ("Vietnam", "Hanoi", "Vietnamese", "Asia"),
    ("South Korea", "Seoul", "Korean", "Asia"),
    ("Iran", "Tehran", "Persian", "Asia"),
    ("Iraq", "Baghdad", "Arabic", "Asia"),
    ("Syria", "Damascus", "Arabic", "Asia"),
    ("Lebanon", "Beirut", "Arabic", "Asia"),
    ("Saudi Arabia", "Riyadh", "Arabic", "Asia"),
    ("Afghanistan", "Kabul", "Persian", "Asia"),
    ("Pakistan", "Islamabad", "Urdu", "Asia"),
    ("Nepal", "Kathmandu", "Nepali", "Asia"),
    ("Bangladesh", "Dhaka", "Bengali", "Asia"),
    ("Philippines", "Manila", "Filipino", "Asia"),
    ("Indonesia", "Jakarta", "Indonesian", "Asia"),
    ("Egypt", "Cairo", "Arabic", "Africa"),
    ("Morocco", "Rabat", "Arabic", "Africa"),
    ("Algeria", "Algiers", "Arabic", "Africa"),
    ("Libya", "Tripoli", "Arabic", "Africa"),
    ("Kenya", "Nairobi", "Swahili", "Africa"),
    ("Angola", "Luanda", "Portuguese", "Africa"),
    ("Senegal", "Dakar", "French", "Africa"),
    ("Ghana", "Accra", "English", "Africa"),
    ("Mozambique", "Maputo", "Portuguese", "Africa"),
    ("Uganda", "Kampala", "English", "Africa"),
    ("Zimbabwe", "Harare", "English", "Africa"),
    ("Zambia", "Lusaka", "English", "Africa"),
    ("Cuba", "Havana", "Spanish", "America"),
    ("Peru", "Lima", "Spanish", "America"),
    ("Chile", "Santiago", "Spanish", "America"),
    ("Argentina", "Buenos Aires", "Spanish", "America"),
    ("Colombia", "Bogota", "Spanish", "America"),
    ("Venezuela", "Caracas", "Spanish", "America"),
    ("Ecuador", "Quito", "Spanish", "America"),
    ("Brazil", "Brasilia", "Portuguese", "America"),
    ("Canada", "Ottawa", "English", "America"),
    ("Jamaica", "Kingston", "English", "America"),
    ("Mexico", "Mexico City", "Spanish", "America"),
    ("Uruguay", "Montevideo", "Spanish", "America"),
)
"""(country, capital, an official or the main language, continent)."""

CURRENCIES = (
    ("Japan", "yen"),
    ("China", "yuan"),
    ("India", "rupee"),
    ("Russia", "ruble"),
    ("Mexico", "peso"),
    ("Germany", "euro"),
    ("France", "euro"),
    ("Italy", "euro"),
    ("Spain", "euro"),
    ("Greece", "euro"),
    ("Canada", "dollar"),
    ("Australia", "dollar"),
    ("Singapore", "dollar"),
    ("Turkey", "lira"),
    ("Thailand", "baht"),
    ("Switzerland", "franc"),
    ("Argentina", "peso"),
    ("Chile", "peso"),
    ("Pakistan", "rupee"),
    ("Egypt", "pound"),
    ("Syria", "pound"),
    ("England", "pound"),
    ("Brazil", "real"),
    ("Iran", "rial"),
    ("Israel", "shekel"),
    ("Portugal", "euro"),
    ("Finland", "euro"),
    ("Cuba", "peso"),
    ("Nepal", "rupee"),
    ("Austria", "euro"),
    ("Ireland", "euro"),
    ("Belgium", "euro"),
    ("Jamaica", "dollar"),
    ("Fiji", "dollar"),
    ("New Zealand", "dollar"),
    ("Colombia", "peso"),
    ("Uruguay", "peso"),
    ("Philippines", "peso"),
    ("Lebanon", "pound"),
    ("Sudan", "pound"),
    ("Sri Lanka", "rupee"),
    ("Norway", "krone"),
    ("Denmark", "krone"),
    ("Sweden", "krona"),
    ("Iceland", "krona"),
    ("Senegal", "franc"),
    ("Mali", "franc"),
    ("Cameroon", "franc"),
    ("Kuwait", "dinar"),
    ("Iraq", "dinar"),
    ("Jordan", "dinar"),
    ("Algeria", "dinar"),
    ("Tunisia", "dinar"),
    ("Libya", "dinar"),
    ("Serbia", "dinar"),
)

CLASSES = (
    ("dog", "animal"),
    ("horse", "animal"),
    ("tiger", "animal"),
    ("cow", "animal"),
    ("lion", "animal"),
    ("rabbit", "animal"),
    ("apple", "fruit"),
    ("banana", "fruit"),
    ("orange", "fruit"),
    ("grape", "fruit"),
    ("peach", "fruit"),
    ("lemon", "fruit"),
    ("pear", "fruit"),
    ("mango", "fruit"),
    ("carrot", "vegetable"),
    ("onion", "vegetable"),
    ("potato", "vegetable"),
    ("cabbage", "vegetable"),
    ("eagle", "bird"),
    ("crow", "bird"),
    ("owl", "bird"),
    ("swan", "bird"),
    ("duck", "bird"),
    ("parrot", "bird"),
    ("salmon", "fish"),
    ("shark", "fish"),
    ("tuna", "fish"),
    ("trout", "fish"),
    ("ant", "insect"),
    ("bee", "insect"),
    ("butterfly", "insect"),
    ("mosquito", "insect"),
    ("hammer", "tool"),
    ("saw", "tool"),
    ("wrench", "tool"),
    ("drill", "tool"),
    ("piano", "instrument"),
    ("guitar", "instrument"),
    ("violin", "instrument"),
    ("trumpet", "instrument"),
    ("flute", "instrument"),
    ("drum", "instrument"),
    ("rose", "flower"),
    ("tulip", "flower"),
    ("lily", "flower"),
    ("daisy", "flower"),
    ("car", "vehicle"),
    ("truck", "vehicle"),
    ("bus", "vehicle"),
    ("van", "vehicle"),
    ("train", "vehicle"),
    ("shirt", "garment"),
    ("skirt", "garment"),
    ("jacket", "garment"),
)

ANTONYMS = (
    ("big", "small"),
    ("hot", "cold"),
    ("happy", "sad"),
    ("fast", "slow"),
    ("up", "down"),
    ("left", "right"),
    ("open", "closed"),
    ("early", "late"),
    ("rich", "poor"),
    ("young", "old"),
    ("full", "empty"),
    ("hard", "soft"),
    ("light", "dark"),
    ("high", "low"),
    ("strong", "weak"),
    ("wet", "dry"),
    ("clean", "dirty"),
    ("good", "bad"),
    ("true", "false"),
    ("long", "short"),
    ("thick", "thin"),
    ("near", "far"),
    ("loud", "quiet"),
    ("win", "lose"),
    ("buy", "sell"),
    ("love", "hate"),
    ("day", "night"),
    ("friend", "enemy"),
    ("black", "white"),
    ("first", "last"),
    ("inside", "outside"),
    ("above", "below"),
    ("before", "after"),
    ("push", "pull"),
    ("success", "failure"),
    ("life", "death"),
    ("war", "peace"),
    ("north", "south"),
    ("east", "west"),
    ("positive", "negative"),
    ("male", "female"),
    ("wide", "narrow"),
    ("deep", "shallow"),
    ("safe", "dangerous"),
    ("easy", "difficult"),
    ("beautiful", "ugly"),
    ("front", "back"),
    ("top", "bottom"),
    ("always", "never"),
    ("more", "less"),
    ("increase", "decrease"),
    ("begin", "end"),
    ("public", "private"),
    ("guilty", "innocent"),
    ("alive", "dead"),
    ("smart", "stupid"),
    ("sharp", "dull"),
    ("smooth", "rough"),
    ("brave", "cowardly"),
    ("active", "passive"),
    ("maximum", "minimum"),
    ("import", "export"),
    ("husband", "wife"),
    ("question", "answer"),
    ("arrive", "leave"),
    ("ancient", "modern"),
    ("cheap", "expensive"),
    ("tight", "loose"),
    ("odd", "even"),
    ("major", "minor"),
    ("internal", "external"),
    ("simple", "complex"),
    ("create", "destroy"),
    ("accept", "reject"),
    ("remember", "forget"),
)
"""Pairs of opposites; either side may be asked for."""

VERBS: tuple[tuple[str, str], ...] = (
    ("go", "went"),
    ("see", "saw"),
    ("take", "took"),
    ("make", "made"),
    ("come", "came"),
    ("know", "knew"),
    ("get", "got"),
    ("give", "gave"),
    ("find", "found"),
    ("think", "thought"),
    ("tell", "told"),
    ("feel", "felt"),
    ("leave", "left"),
    ("keep", "kept"),
    ("begin", "began"),
    ("bring", "brought"),
    ("write", "wrote"),
    ("sit", "sat"),
    ("stand", "stood"),
    ("lose", "lost"),
    ("pay", "paid"),
    ("meet", "met"),
    ("run", "ran"),
    ("speak", "spoke"),
    ("lead", "led"),
    ("grow", "grew"),
    ("fall", "fell"),
    ("send", "sent"),
    ("build", "built"),
    ("break", "broke"),
    ("spend", "spent"),
    ("drive", "drove"),
    ("buy", "bought"),
    ("wear", "wore"),
    ("choose", "chose"),
    ("eat", "ate"),
    ("drink", "drank"),
    ("sing", "sang"),
    ("swim", "swam"),
    ("fly", "flew"),
    ("draw", "drew"),
    ("throw", "threw"),
    ("catch", "caught"),
    ("teach", "taught"),
    ("fight", "fought"),
    ("sleep", "slept"),
    ("win", "won"),
    ("sell", "sold"),
    ("rise", "rose"),
    ("ride", "rode"),
    ("forget", "forgot"),
    ("hear", "heard"),
    ("hold", "held"),
    ("walk", "walked"),
    ("play", "played"),
    ("work", "worked"),
    ("talk", "talked"),
    ("call", "called"),
    ("ask", "asked"),
    ("help", "helped"),
    ("look", "looked"),
    ("turn", "turned"),
    ("start", "started"),
    ("show", "showed"),
    ("move", "moved"),
    ("live", "lived"),
    ("open", "opened"),
    ("close", "closed"),
    ("watch", "watched"),
    ("follow", "followed"),
    ("stop", "stopped"),
    ("learn", "learned"),
    ("change", "changed"),
    ("wait", "waited"),
    ("cook", "cooked"),
    ("paint", "painted"),
    ("visit", "visited"),
    ("travel", "traveled"),
    ("dance", "danced"),
    ("smile", "smiled"),
    ("laugh", "laughed"),
    ("cry", "cried"),
    ("jump", "jumped"),
    ("climb", "climbed"),
    ("study", "studied"),
    ("listen", "listened"),
    ("answer", "answered"),
    ("plan", "planned"),
)
"""(base form, past tense)."""
