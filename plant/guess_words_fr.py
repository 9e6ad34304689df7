"""French names of columns and files, and French codes, for `plant.guess_words`."""

from __future__ import annotations

_MACHINE = (
    "équipement id_équipement code_équipement n°_équipement machine code_machine poste poste_technique installation "
    "appareil repère local salle"
)
_BATCH = "lot n°_lot no_lot num_lot numéro_lot numéro_de_lot lot_fabrication code_lot"
_START = "début date_début heure_début date_de_début horodatage_début démarrage"
_END = "fin date_fin heure_fin date_de_fin horodatage_fin"
_TIME = "horodatage horodate date_heure date_et_heure heure instant date_mesure"
_STEP = "étape opération phase gamme"
_CLASS = "classe type_équipement famille catégorie_équipement modèle"
_MODE = "mode_défaillance mode_de_défaillance défaillance code_panne panne défaut code_défaut"
_UNIT = "unité unité_mesure unité_de_mesure"
_LOW = "limite_inférieure seuil_bas borne_inférieure limite_basse mini spec_min"
_HIGH = "limite_supérieure seuil_haut borne_supérieure limite_haute maxi spec_max"

COLUMNS: dict[str, dict[str, str]] = {
    "equipment": {
        "equipment_id": _MACHINE,
        "equipment_class": _CLASS,
        "site": "usine établissement",
        "area": "secteur atelier zone bâtiment",
        "line": "ligne ligne_production",
        "criticality": "criticité",
        "commissioned_at": "mise_en_service date_mise_en_service date_installation",
        "retired_at": "mise_hors_service date_mise_au_rebut",
        "parent_id": "équipement_parent équipement_père",
    },
    "signals": {
        "equipment_id": _MACHINE, "signal": "voie grandeur paramètre", "source_tag": "étiquette repère_mesure",
        "unit": _UNIT, "low": _LOW, "high": _HIGH,
    },
    "readings": {
        "equipment_id": _MACHINE, "signal": "étiquette voie point_mesure grandeur paramètre", "ts": _TIME,
        "value": "valeur mesure valeur_mesurée", "quality": "qualité statut",
    },
    "events": {
        "event_id": "id_événement n°_alarme", "equipment_id": _MACHINE, "ts": _TIME, "kind": "type_événement nature",
        "code": "code_alarme alarme code_défaut événement", "value": "valeur",
    },
    "downtime": {
        "downtime_id": "n°_arrêt id_arrêt arrêt", "equipment_id": _MACHINE, "started_at": _START, "ended_at": _END,
        "reason": "motif cause motif_arrêt cause_arrêt raison", "planned": "planifié programmé",
    },
    "work_orders": {
        "work_order_id": "n°_ot no_ot num_ot numéro_ot ot bt n°_bt ordre_travail ordre_de_travail bon_de_travail "
        "n°_intervention n°_ordre",
        "equipment_id": _MACHINE,
        "kind": "type_ot type_intervention type_maintenance type_de_maintenance nature type_travail",
        "opened_at": "date_ouverture ouverture ouvert_le date_demande date_création créé_le date_signalement",
        "started_at": "début_travaux date_début_travaux début_intervention début date_début",
        "closed_at": "date_clôture clôture date_fermeture clos_le fin_travaux date_fin fin date_réalisation",
        "failure_mode": _MODE,
        "cause": "cause_panne code_cause",
        "text": "libellé désignation description_ot commentaire intitulé",
        "parts": "pièces pièces_détachées",
        "labour_hours": "heures durée_travaux temps_passé heures_travaillées main_d_oeuvre",
        "cost": "coût coût_total montant coûts",
        "recorded_at": "date_modification modifié_le",
    },
    "batches": {
        "batch_id": _BATCH, "product": "produit article code_produit code_article", "recipe": "recette formule",
        "size": "taille taille_lot quantité", "line": "ligne", "started_at": _START, "ended_at": _END,
        "yield_pct": "rendement",
    },
    "batch_steps": {
        "batch_id": _BATCH, "step": _STEP, "equipment_id": _MACHINE, "started_at": _START, "ended_at": _END,
    },
    "genealogy": {
        "batch_id": "lot_produit lot_fabriqué lot_fabrication lot_pf", "material_lot": "lot_matière lot_mp "
        "lot_composant", "material": "matière matière_première composant", "supplier": "fournisseur",
        "quantity": "quantité qté", "used_at": "date_sortie date_consommation date_utilisation",
    },
    "lab_results": {
        "result_id": "n°_échantillon échantillon n°_analyse", "batch_id": _BATCH, "attribute": "essai analyse "
        "paramètre test caractéristique", "value": "résultat valeur", "unit": _UNIT, "lower_spec": _LOW,
        "upper_spec": _HIGH, "sampled_at": "date_prélèvement prélevé_le prélèvement", "approved_at": "date_approbation "
        "approuvé_le validé_le date_validation", "status": "statut conformité verdict",
    },
    "deviations": {
        "deviation_id": "n°_déviation déviation n°_écart écart anomalie n°_anomalie", "batch_id": _BATCH,
        "equipment_id": _MACHINE, "step": _STEP, "severity": "gravité sévérité", "category": "catégorie",
        "opened_at": "date_ouverture ouvert_le", "closed_at": "date_clôture clos_le",
    },
    "dispositions": {
        "batch_id": _BATCH, "record_complete_at": "dossier_complet date_dossier_complet", "reviewed_at": "date_revue "
        "revu_le", "disposed_at": "date_décision date_libération libéré_le", "decision": "décision",
    },
    "spare_parts": {
        "part_id": "pièce référence n°_pièce code_pièce", "equipment_class": _CLASS, "failure_mode": _MODE,
        "on_hand": "stock quantité_en_stock", "lead_time_days": "délai délai_approvisionnement",
    },
}  # fmt: skip

FILES: dict[str, str] = {
    "equipment": "équipements parc machines", "signals": "étiquettes points_mesure",
    "readings": "mesures historique historien tendances relevés", "events": "alarmes événements défauts",
    "downtime": "arrêts", "work_orders": "ot bt ordres interventions gmao pannes", "batches": "lots",
    "batch_steps": "étapes opérations", "genealogy": "matières généalogie", "lab_results": "résultats labo analyses",
    "deviations": "déviations écarts anomalies", "dispositions": "libérations", "spare_parts": "pièces",
}  # fmt: skip

CODES: dict[str, dict[str, str]] = {
    "work_orders.kind": {
        "corrective": "correctif corrective curatif dépannage panne réparation",
        "preventive": "préventif préventive systématique entretien", "inspection": "contrôle visite ronde",
        "calibration": "étalonnage métrologie vérification",
    },
    "events.kind": {"alarm": "alarme avertissement", "error": "défaut erreur", "state": "état"},
    "readings.quality": {"good": "bonne bon valide", "uncertain": "incertaine douteuse", "bad": "mauvaise invalide"},
    "lab_results.status": {"in_spec": "conforme", "out_of_spec": "non_conforme hors_spécification hors_spec",
                           "out_of_trend": "hors_tendance", "invalidated": "invalidé annulé"},
    "deviations.severity": {"critical": "critique", "major": "majeure majeur", "minor": "mineure mineur"},
    "dispositions.decision": {"released": "libéré accepté", "rejected": "refusé rejeté", "reworked": "retraité"},
    "equipment.criticality": {"high": "haute élevée", "medium": "moyenne", "low": "basse faible"},
    "downtime.planned": {"true": "oui planifié programmé", "false": "non non_planifié"},
    "downtime.reason": {"breakdown": "panne", "jam": "bourrage", "material_shortage": "manque_matière"},
    "batch_steps.step": {"drying": "séchage", "blending": "mélange", "compression": "compression",
                         "coating": "pelliculage", "packaging": "conditionnement"},
    "equipment.equipment_class": {"blender": "mélangeur", "tablet_press": "presse presse_à_comprimés comprimeuse",
                                  "coater": "pelliculeuse", "granulator": "granulateur", "room": "local salle"},
}  # fmt: skip
