"""The words that are shipped: what a short text says about failure mode, action and component, in English and German.

Codes follow the lists of ISO 14224 (failure modes by symptom, maintenance activities) in plain words. A pattern is
written as `features.text_rules` says: one regular expression a word of the normalised text (ae for ä, 0 for a number).
Weight 2 is a plain word for it, 1 a word that often means it, 0.5 one that counts only where nothing else is said.
"""

from __future__ import annotations

Words = tuple[tuple[str, float, str], ...]
"""(code, weight, patterns separated by ;)."""

FAILURE_MODES: Words = (
    ("leak", 2, r"leak\w*; weep\w*; drip\w*; undicht\w*; leck\w*; tropf\w*; staubt; seep\w*; oelverlust; blowing oil"),
    ("vibration", 2, r"vib\w*; schw; schwing\w*; unwucht\w*; imbalance"),
    ("noise", 2, r"nois\w*; loud; knock\w*; grinding; squeal\w*; laut; geraeusch\w*; mahlt; quietsch\w*; klopf\w*;"
                 r"screaming"),
    ("overheating", 2, r"overheat\w*; over heat\w*; hot; ueberhitz\w*; heiss\w*; overtemp\w*;"
                       r"temp too high; high ... temp\w*; temperatur\w* ... hoch"),
    ("blockage", 2, r"block(ed|age|iert)?; bl[ko]\w?d; clog\w*; plugged; foul(ed|ing); jam(s|med)?; verstopf\w*; verst;"
                    r"zugesetzt; verblockt; stau\w*; klemm\w*"),
    ("seized", 2, r"seiz\w*; stuck; sticking; fest(gefressen|sitzt)?; gefressen"),
    ("breakage", 2, r"br[oe]ke\w*; crack\w*; damage\w*; bent; split; burst\w*; busted; snapped; sheared; torn;"
                    r"gebrochen; bruch; gerissen; riss\w*; beschaedigt; kaputt; blown; fractur\w*; cut; ripped;"
                    r"smashed; holed?"),
    ("wear", 2, r"worn\w*; wear; abgenutzt; verschliss\w*; verschleiss\w*; eroded; abrieb"),
    ("loose_or_missing", 2, r"loose\w*; missing; lost; fell off; fallen (off|out); fehl(t|en|end\w*); lose; locker\w*"),
    ("electrical", 1.5, r"wiring; short circuit; short; fuse\w*; kurzschluss; sicherung; voltage; kabel\w*; relay;"
                        r"motorschutz; ueberlast; overload; flat batter\w*; electrical (fault|power)"),
    ("sensor_fault", 1.5, r"sensor\w*; transmitter; sender; messfehler; fuehler; gauge; drift"),
    ("contamination", 2, r"contaminat\w*; dirty; metal in oil; water in ... \w+; verschmutz\w*; verschm; kontamin\w*"),
    ("fluid_level", 2, r"low ... oil; low on \w+; (coolant|oil) level\w*; level ... low; oelstand;"
                       r"fuellstand ... niedrig"),
    ("low_output", 1, r"lack\w* power; (loosing|losing|low|no) power; slow; schwach; zu (gering|niedrig); kein druck;"
                      r"no (pressure|airflow|flow); not cooling; wenig luft"),
    ("fail_to_start", 2, r"(wont|cant|not|wouldnt) ... (re)?start\w*; startet nicht; laeuft nicht an; no start"),
    ("fail_to_stop", 2, r"(wont|cant|not|wouldnt) ... (stop|shutdown); (wont|cant|not) shut ... down; overrun\w*;"
                        r"laeuft nach; haelt nicht; does not hold"),
    ("spurious_stop", 2, r"shut\w* down; shutdown; cutting out; cut out; trip(s|ped)?; ausgeloest; steht; abschaltung;"
                         r"stopped; bleibt stehen"),
    ("smoke_or_fire", 2, r"smok\w*; burn(t|ing|ed); fire; rauch\w*; brand\w*; verbrannt; verschmort"),
    ("alarm", 1, r"warning (light|lamp); alarm\w*; warnung; meldung"),
    ("other_fault", 0.5, r"fault\w*; fail\w*; us; unserviceable; not (working|operating|functioning); defect\w*;"
                         r"defekt\w*; ausfall; ausgefallen; stoer\w*; stg; wont \w+; malfunction\w*; problem; faulty;"
                         r"inop\w*; funktioniert nicht; geht nicht"),
)

ACTIONS: Words = (
    ("replace", 2, r"re?pl?a?ce?\w*; replac\w*; repl; change out\w*; changeout\w*; change\w* out; c out; swap\w*;"
                   r"renew\w*; fit(ted)?; refit\w*; install\w*; ersetz\w*; getauscht; (aus)?tausch\w*; wechsel\w*;"
                   r"gewechselt; erneuer\w*; change[ds]?; supply"),
    ("repair", 2, r"repair\w*; fix(ed)?; reseal\w*; re seal\w*; weld\w*; rebuild\w*; overhaul\w*; rectify;"
                  r"repar\w*; instand\w*; schweiss\w*; abgedichtet; rebolt"),
    ("adjust", 2, r"adjust(ed|ing|ment)?s?; tighten\w*; align\w*; reset; calibrat\w*; tune\w*; justier\w*; einstell\w*;"
                  r"nachgestellt; nachgezogen; kalibrier\w*"),
    ("clean", 2, r"clean(ed|ing)?; wash\w*; flush\w*; gereinigt; reinig\w*; gespuelt; spuel\w*; remove dirt"),
    ("service", 2, r"servic(e|ed|ing); topup; top up; topped; refill\w*; recharge\w*; greas(ed|ing); bleed; jumpstart;"
                   r"jump start\w*; lubricat\w*; wartung\w*; gewartet; geschmiert; nachgefuellt; regas\w*; charge"),
    ("inspect", 2, r"inspect\w*; check\w*; test\w*; ndt; troubleshoot\w*; investigat\w*; measure; diagnos\w*;"
                   r"pruef\w*; geprueft; kontroll\w*; sichtpruefung; inspektion"),
    ("modify", 2, r"modif\w*; mods?; upgrade\w*; umbau\w*; aender\w*; geaendert; nachruest\w*"),
    ("administration", 1, r"labour; invoice; quote; arbeitszeit; angebot; rechnung"),
)

COMPONENTS: Words = (
    ("engine", 2, r"engines?; eng; starter; alternator; fan belt\w*; motorblock"),
    ("turbocharger", 2, r"turbo\w*"),
    ("exhaust", 2, r"exhaust\w*; muffler\w*; air cleaners?; manifold; auspuff"),
    ("radiator", 2, r"radiator\w*; coolant; overheat\w*; over heat\w*; murphy; kuehler"),
    ("transmission", 2, r"trans(mission)?; gearbox; gear box; getriebe\w*; gear"),
    ("final_drive", 2, r"final drives?; travel motors?"),
    ("hydraulics", 2, r"hyd\w*; hoses?; hydraulik\w*; schlauch\w*; oil leaks?"),
    ("cylinder", 2, r"cyl(s|inder\w*)?; zylinder\w*"),
    ("bucket", 2, r"buckets?; bkt; tooth; teeth; lip; shroud\w*"),
    ("structure", 2, r"handrails?; hand rails?; walkway\w*; stairs?; steps; carbody; undercarriage; gelaender"),
    ("slewing", 1, r"slew\w*; swing"),
    ("bearing", 2, r"bearings?; bear[gn]; brg; \w*lager; bearg"),
    ("seal", 2, r"seals?; gasket\w*; \w*dichtung\w*; o ring\w*; oring\w*"),
    ("pump", 2, r"pumps?; \w*pumpe\w*"),
    ("valve", 2, r"valves?; vlv; \w*ventil; klappe\w*; \w+klappe"),
    ("filter", 2, r"filters?; fltr; filt; bags; \w*filter\w*; separator; \w*abscheider; entstauber; dust collector"),
    ("fan", 2, r"fans?; vent; \w*ventilator\w*; luefter"),
    ("drive", 2, r"motors?; mtr; drive; \w*antrieb; servo; belt; keilriemen"),
    ("heater", 2, r"heat(er|ing); \w*heiz\w*; cartridge"),
    ("nozzle", 2, r"nozzles?; spray guns?; gun; \w*duese\w*; \w*pistole\w*"),
    ("instrument", 1, r"sensor\w*; gauges?; transmitter; fuehler; switch"),
    ("brake", 2, r"brakes?; bremse\w*"),
    ("tool", 2, r"punch(es)?; stempel; werkzeug"),
    ("feeder", 2, r"feeder; fill shoe; fuellschuh; fueller; ruehrfluegel"),
    ("membrane", 2, r"membran\w*; ro"),
    ("lamp", 1, r"lights?; lamp\w*; uv; lampe"),
)

SHIPPED: dict[str, Words] = {"failure_mode": FAILURE_MODES, "component": COMPONENTS, "action": ACTIONS}
