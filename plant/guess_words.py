"""Words by which exports of plants can be recognised: names of columns and files, codes.

English, German and Slovene stand here, French in `plant.guess_words_fr`.

Names are compared folded (`fold`): small letters, no accents, no signs; ä and ae are the same. The usual exports of
Maximo, SAP PM/QM, PI and other historians, MES and LIMS are among them.
"""

from __future__ import annotations

import re
import unicodedata

from plant import guess_words_fr as fr


def fold(word: str) -> str:
    """A name without case, accents and signs: `Auftrags-Nr.` is `auftragsnr`."""
    plain = unicodedata.normalize("NFKD", word.lower().replace("ß", "ss").replace("đ", "d").replace("ł", "l"))
    plain = "".join(c for c in plain if c.isascii() and c.isalnum())
    return re.sub("([aou])e", r"\1", plain)


_MACHINE = (
    "equipment_id equipment equnr equipmentnr assetnum asset assetid asset_no asset_number machine machineid "
    "machine_id "
    "anlage anlagennr anlagennummer maschine maschinennr maschinen_nr aggregat gerät gerätenr platz arbeitsplatz arbpl "
    "funktionalort technischer_platz tplnr stroj stroj_id naprava oprema linija_stroj enota unit_id unit einheit_id "
    "source device resource workcenter work_center arbeitsplatznr raum room prostor eqfnr equip equipment_no"
)
_BATCH = (
    "batch_id batch batchno batch_no batch_number batchnr charge chargennr chargen_nr chargennummer charg "
    "serija serija_st šarža sarza lotnr_fertig prodlot fertigungscharge"
)
_START = (
    "started_at start starttime start_time starttimestamp begin beginn beginnzeit von startzeit začetek "
    "zacetek od anfang"
)
_END = "ended_at end endtime end_time finish ende endzeit bis konec do stop stoptime stop_time"
_TIME = (
    "ts time timestamp datetime date_time zeit zeitstempel zeitpunkt datum_zeit datumzeit datum date cas čas "
    "čas_meritve "
    "datum_in_čas event_time eventtime time_stamp messzeit t_stamp when utc localtime"
)
_STEP = "step phase operation vorgang schritt prozessschritt arbeitsgang operacija korak faza vornr arbeitsfolge"
_LINE = "line linie fertigungslinie linija prodline production_line"
_CLASS = (
    "equipment_class class classstructure classstructureid eqart anlagenart anlagentyp maschinentyp type "
    "model klasse typ "
    "objektart vrsta_opreme razred tip assettype asset_type"
)
_MODE = (
    "failure_mode failure fm problemcode problem_code fecod schadenscode schadensbild schaden fehlercode fehlerbild "
    "koda_okvare okvara vrsta_okvare damage_code damage comp component defect fault_code"
)
_UNIT = "unit uom engunits eng_units units einheit masseinheit enota enota_mere eu"
_LOW = (
    "low lolim lo_limit low_limit min minimum untergrenze ug lsl lower_spec lower_limit spodnja_meja lower usg "
    "utg min_spec"
)
_HIGH = (
    "high hilim hi_limit high_limit max maximum obergrenze og usl upper_spec upper_limit zgornja_meja upper "
    "osg otg max_spec"
)

# canonical table -> canonical column -> names; the first names are the better ones where several columns match
COLUMNS: dict[str, dict[str, str]] = {
    "equipment": {
        "equipment_id": _MACHINE,
        "equipment_class": _CLASS,
        "site": "site siteid werk swerk standort lokacija plant obrat",
        "area": "area bereich abteilung halle gebäude department location oddelek področje beber",
        "line": _LINE,
        "criticality": "criticality priority abckz abc_kennzeichen kritikalität kritičnost assetpriority",
        "commissioned_at": "commissioned_at installdate install_date inbdt inbetriebnahme commissioned "
        "baujahr_datum datum_zagona",
        "retired_at": "retired_at decommissioned stilllegung decommission_date außerbetriebnahme",
        "parent_id": "parent_id parent hequi übergeordnet parent_asset nadrejena",
    },
    "signals": {
        "equipment_id": _MACHINE,
        "signal": "signal kanal channel messgröße parameter merkmal veličina",
        "source_tag": "source_tag tag tagname tag_name point pointname messstelle pi_tag item_id",
        "unit": _UNIT,
        "low": _LOW,
        "high": _HIGH,
    },
    "readings": {
        "equipment_id": _MACHINE,
        "signal": "tag tagname tag_name point pointname point_name signal signal_id kanal channel messstelle "
        "sensor item_id "
        "variable parameter messgröße oznaka pi_tag veličina measurement",
        "ts": _TIME,
        "value": "value wert messwert vrednost val reading meritev istwert pv data_value",
        "quality": "quality status qual opc_quality opcstatus kakovost qualität good questionable value_status istatus",
    },
    "events": {
        "event_id": "event_id eventid alarmid alarm_id nr id lfdnr meldungsnr message_id seq",
        "equipment_id": _MACHINE,
        "ts": _TIME,
        "kind": "kind type art ereignisart event_type eventtype meldeart vrsta tip kategorie class severity",
        "code": "code errorid error_id error errorcode alarmcode alarm meldung event message koda_alarma koda "
        "alarm_code "
        "state meldungstext ereignis fehlernummer",
        "value": "value wert vrednost limit",
    },
    "downtime": {
        "downtime_id": "downtime_id stop_id stopid stillstand stillstandsnr zastoj zastoj_id id nr",
        "equipment_id": _MACHINE,
        "started_at": _START,
        "ended_at": _END,
        "reason": "reason reason_code grund stillstandsgrund ursache vzrok vzrok_zastoja stop_reason cause",
        "planned": "planned geplant plan_ungeplant načrtovan nacrtovano is_planned scheduled",
    },
    "work_orders": {
        "work_order_id": "work_order_id wonum workorder work_order wo wo_number order_no orderno aufnr "
        "auftrag auftragsnr "
        "auftragsnummer qmnum meldungsnr meldung nalog delovni_nalog št_naloga nalog_id order_id",
        "equipment_id": _MACHINE,
        "kind": "kind worktype work_type wotype qmart auart auftragsart meldungsart pmtype order_type "
        "instandhaltungsart "
        "vrsta_naloga tip_naloga maintenance_type vrsta_dela",
        "opened_at": "opened_at reportdate report_date qmdat erdat erstellt erstellt_am gemeldet gemeldet_am "
        "meldedatum created "
        "created_at datum_prijave prijavljeno odprto eröffnet bscstartdate basic_start ausvn statusdate "
        "opened datetime "
        "date datum auftragsdatum angelegt",
        "started_at": "started_at actstart act_start arbbeg iststart ist_beginn beginn start begonnen started "
        "začetek_dela "
        "začetek gstri ausvn arbeitsbeginn",
        "closed_at": "closed_at actfinish act_finish qmdab istende ist_ende ende finish abgeschlossen closed erledigt "
        "erledigt_am fertig zaključeno konec_dela konec getri ausbs completed arbeitsende fertiggemeldet",
        "failure_mode": _MODE,
        "mechanism": "mechanism failure_mechanism mechanismus mehanizem",
        "cause": "cause causecode cause_code urcod ursachencode ursache vzrok koda_vzroka",
        "text": "text description qmtxt kurztext beschreibung short_text shorttext originalshorttext ktext "
        "opis langtext "
        "wortlaut meldungstext bemerkung",
        "parts": "parts itemnum material matnr ersatzteil teil deli nadomestni_del",
        "labour_hours": "labour_hours laborhrs labor_hours actlabhrs iststd stunden arbeitsstunden ismnw ure "
        "ur_dela hours "
        "aufwand_h",
        "cost": "cost totalcost acttotalcost istkosten kosten strošek stroški total_cost gesamtkosten kosten_eur",
        "recorded_at": "recorded_at changedate change_date aedat geändert_am geändert changed updated spremenjeno",
    },
    "batches": {
        "batch_id": _BATCH,
        "product": "product item artikel artikelnr produkt material matnr izdelek product_code productcode "
        "code material_no",
        "recipe": "recipe rezept rezeptur recept master_recipe plnnr strength",
        "size": "size qty quantity menge batchsize batch_size ansatzgröße losgröße količina gamng velikost",
        "line": _LINE,
        "started_at": _START,
        "ended_at": _END,
        "yield_pct": "yield_pct yield ausbeute izkoristek yield_percent",
    },
    "batch_steps": {
        "batch_id": _BATCH,
        "step": _STEP,
        "equipment_id": _MACHINE,
        "started_at": _START,
        "ended_at": _END,
    },
    "genealogy": {
        "batch_id": _BATCH,
        "material_lot": "material_lot lot los lotnr lot_no lot_number losnr rohstoffcharge component_lot "
        "input_batch lot_surovine",
        "material": "material item bezeichnung materialbezeichnung matnr component rohstoff surovina "
        "item_description artikel",
        "supplier": "supplier lieferant vendor dobavitelj lifnr hersteller",
        "quantity": "quantity qty qty_kg menge menge_kg količina amount verbrauch",
        "used_at": "used_at issued issue_date ausgabe entnahme entnommen consumed izdano datum_izdaje budat "
        "buchungsdatum",
    },
    "lab_results": {
        "result_id": "result_id resultid probe probennr sample sample_id sampleid sample_number vzorec "
        "št_vzorca ergebnisnr "
        "analysis_id prüflos",
        "batch_id": _BATCH,
        "material_lot": "material_lot lot los lotnr lot_no losnr",
        "attribute": "attribute test testname test_name prüfung prüfmerkmal merkmal analysis component parameter "
        "preskus lastnost analyte kurztext_merkmal determination",
        "value": "value result ergebnis numeric_result messwert wert rezultat vrednost entry formatted_entry "
        "mittelwert",
        "unit": _UNIT,
        "lower_spec": _LOW,
        "upper_spec": _HIGH,
        "sampled_at": "sampled_at sampled sample_date sampled_date gezogen probenahme probenahmedatum entnahmedatum "
        "vzorčeno datum_vzorčenja collected date datum",
        "approved_at": "approved_at approved authorised authorized released_on freigabe freigegeben "
        "freigabedatum odobreno "
        "datum_odobritve date_reviewed reviewed",
        "status": "status result_status befund bewertung verdict in_spec ocena stanje",
    },
    "deviations": {
        "deviation_id": "deviation_id dev devno deviation abw abweichung abweichungsnr odstopanje "
        "št_odstopanja nc_number "
        "deviation_no pr_id",
        "batch_id": _BATCH,
        "equipment_id": _MACHINE,
        "step": _STEP,
        "severity": "severity schwere schweregrad classification resnost kritikalität",
        "category": "category kategorie art kategorija type",
        "opened_at": "opened_at opened eröffnet erfasst date_opened created odprto reported datum",
        "closed_at": "closed_at closed abgeschlossen geschlossen date_closed zaprto zaključeno",
    },
    "dispositions": {
        "batch_id": _BATCH,
        "record_complete_at": "record_complete_at record_complete akte_vollständig dokumentation_vollständig complete "
        "dokumentacija_popolna",
        "reviewed_at": "reviewed_at reviewed geprüft review_date pregledano qa_review",
        "disposed_at": "disposed_at disposed entschieden decision_date freigabedatum odločeno released_on "
        "usage_decision_date",
        "decision": "decision entscheid entscheidung verwendungsentscheid disposition usage_decision odločitev vcode",
    },
    "spare_parts": {
        "part_id": "part_id part itemnum matnr material teilenummer teil del_id šifra_dela partno part_no",
        "equipment_class": _CLASS,
        "failure_mode": _MODE,
        "on_hand": "on_hand curbal stock bestand labst zaloga qty_on_hand lagerbestand",
        "lead_time_days": "lead_time_days leadtime lead_time plifz lieferzeit dobavni_rok wiederbeschaffungszeit",
    },
}

# Words of a file's name that tell what it holds.
FILES: dict[str, str] = {
    "equipment": "asset assets equipment machines machine anlagen maschinen stroji naprave oprema anlagenliste",
    "signals": "tags points messstellen signals kanäle tag_list taglist",
    "readings": "readings telemetry historian trend verlauf prozessdaten timeseries messwerte meritve sensor "
    "sensors pi "
    "trends archive history",
    "events": "alarms alarm events errors error meldearchiv journal alarmi dogodki alarmliste scada",
    "downtime": "downtime stops stillstand stillstände stillstaende zastoji stoppages oee",
    "work_orders": "workorders workorder orders wo auftraege aufträge meldungen iw38 iw28 iw39 notifications "
    "nalogi maint "
    "maintenance failures instandhaltung wartung vzdrževanje excavators cmms",
    "batches": "batches batch chargen serije laboratory charge",
    "batch_steps": "steps operations vorgänge vorgaenge operacije phases",
    "genealogy": "materials genealogy einsatzmaterial material sestava rohstoffe consumption components",
    "lab_results": "results lims labor ergebnisse lab rezultati laborergebnisse",
    "deviations": "deviations abweichungen odstopanja qms",
    "dispositions": "dispositions freigaben releases sprostitve usage_decisions",
    "spare_parts": "spare_parts inventory ersatzteile parts spares deli zaloga",
}

SYSTEMS: dict[str, str] = {
    "equipment": "CMMS", "signals": "historian", "readings": "historian", "events": "SCADA", "downtime": "MES",
    "work_orders": "CMMS", "batches": "MES", "batch_steps": "MES", "genealogy": "MES", "lab_results": "LIMS",
    "deviations": "QMS", "dispositions": "QMS", "spare_parts": "CMMS",
}  # fmt: skip

# canonical table.column -> word of the plant language -> codes and words that mean it without doubt
CODES: dict[str, dict[str, str]] = {
    "work_orders.kind": {
        "corrective": "corrective CM EM BD BM breakdown repair failure M1 M2 PM01 reparatur störung entstörung "
        "instandsetzung korrektiv kurativ okvara popravilo kurativa korektivno emergency reactive",
        "preventive": "preventive PM M3 W1 PM02 wartung vorbeugend preventiv preventiva vzdrževanje planned "
        "maintenance "
        "revision preventivno scheduled",
        "inspection": "inspection INSP I1 inspektion pregled kontrolle begehung inspekcija",
        "calibration": "calibration CAL K1 kalibrierung kalibracija umerjanje CALIB",
    },
    "events.kind": {
        "alarm": "alarm ALM A warnung warning alarme opozorilo",
        "error": "error ERR E fehler störung napaka fault F okvara",
        "state": "state STA S zustand status stanje statechange info betriebsart",
    },
    "readings.quality": {
        "good": "good 192 ok gut dobro valid",
        "uncertain": "uncertain questionable 64 suspect unsicher nezanesljivo substituted",
        "bad": "bad 0 schlecht ungültig invalid slabo iofail",
    },
    "lab_results.status": {
        "in_spec": "in_spec pass passed i.o. io in_ordnung entspricht ok ustreza conform within",
        "out_of_spec": "out_of_spec OOS fail failed n.i.o. nio entspricht_nicht ne_ustreza",
        "out_of_trend": "out_of_trend OOT auffällig odstopa",
        "invalidated": "invalidated invalid ungültig neveljavno storniert cancelled",
    },
    "deviations.severity": {
        "critical": "critical CRIT kritisch kritično",
        "major": "major MAJ schwer schwerwiegend večje hauptfehler",
        "minor": "minor MIN leicht gering manjše nebenfehler",
    },
    "dispositions.decision": {
        "released": "released REL frei freigegeben sproščeno accepted approved A",
        "rejected": "rejected REJ gesperrt abgelehnt zavrnjeno R",
        "reworked": "reworked RWK nacharbeit predelava rework",
    },
    "equipment.criticality": {"high": "high A hoch visoka H",
    "medium": "medium B mittel srednja M",
    "low": "low C gering niedrig nizka L"},
    "downtime.planned": {"true": "true yes Y ja J da D 1 x geplant planned",
    "false": "false no N nein ne 0 ungeplant unplanned"},
    "downtime.reason": {
        "breakdown": "breakdown BD störung okvara defekt", "preventive_maintenance": "wartung PM vzdrževanje",
        "jam": "jam stau zastoj", "limit_stop": "LIM grenzwert", "material_shortage": "MAT materialmangel pomanjkanje",
        "operator_intervention": "OPR bedienereingriff", "sensor_fault": "SNS sensorfehler",
    },
    "batch_steps.step": {
        "granulation": "granulation GRAN granulieren granulieranlage granuliranje", "drying": "drying DRY "
        "trocknen "
        "sušenje",
        "blending": "blending BLEND mischen mešanje", "compression": "compression COMP tablettieren "
        "tabletiranje pressen",
        "coating": "coating COAT coaten filmcoating oblaganje", "packaging": "packaging PACK verpacken pakiranje",
    },
    "lab_results.attribute": {
        "loss_on_drying": "LOD trocknungsverlust izguba_pri_sušenju", "hardness": "HARD härte bruchkraft trdnost",
        "assay": "assay gehalt vsebnost", "dissolution": "DISS freisetzung raztapljanje", "weight": "gewicht masa",
    },
    "equipment.equipment_class": {
        "granulator": "granulator granulierer", "fluid_bed_dryer": "FBDRYER WS-Trockner wirbelschichttrockner sušilnik",
        "blender": "blender BINBLENDER mischer mešalnik", "tablet_press": "ROTARYPRESS tablettenpresse "
        "tabletirka press presse",
        "coater": "coater FILMCOATER", "blister_line": "BLISTERLINE blisterlinie", "room": "room raum HVACROOM prostor",
    },
}  # fmt: skip



def _with(ours: dict[str, dict[str, str]], theirs: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """`theirs` behind `ours`: the names that came first stay the better ones."""
    return {
        table: {name: f"{told} {theirs.get(table, {}).get(name, '')}".strip() for name, told in names.items()}
        for table, names in ours.items()
    }


COLUMNS, CODES = _with(COLUMNS, fr.COLUMNS), _with(CODES, fr.CODES)
FILES = {table: f"{told} {fr.FILES.get(table, '')}" for table, told in FILES.items()}
WORDS = {fold(w) for columns in COLUMNS.values() for names in columns.values() for w in names.split()} - {""}


def code_word(column: str, code: str) -> str:
    """The word of the plant language that a code of `table.column` obviously means, or nothing."""
    wanted = fold(code)
    for word, names in CODES.get(column, {}).items():
        if wanted and wanted in {fold(n) for n in (word, *names.split())}:
            return word
    return ""
