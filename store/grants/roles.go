package grants

// Role is a role in PostgreSQL for a part of the fleet.
type Role string

// The roles beside the owner of the schema, for whom Migrator stands.
const (
	Migrator Role = "migrator"
	Worker   Role = "worker"
	Relay    Role = "relay"
	Operator Role = "operator"
	Reader   Role = "reader"
	Gateway  Role = "gateway"
)

// Roles are those that Apply gives privileges to.
var Roles = []Role{Worker, Relay, Operator, Reader, Gateway}

// User is the role's name in PostgreSQL: "composerp_worker".
func (r Role) User() string { return "composerp_" + string(r) }

// decision is what the roles may do in a table beside reading it: i inserts, u updates, d deletes, t truncates.
type decision struct{ worker, relay, operator, gateway string }

// decisions are those on every table of the schema; a row that is locked counts as updated.
var decisions = map[string]decision{
	// The log and what proves it.
	"event_log":        {worker: "i", operator: "i", gateway: "i"},
	"admission":        {worker: "i", operator: "i", gateway: "i"},
	"epoch":            {},
	"tick":             {relay: "id"},
	"log_cursor":       {relay: "iu", operator: "id"},
	"stream":           {operator: "iu"},
	"event_version":    {relay: "u", operator: "iu"},
	"queue_version":    {operator: "iu"},
	"unpublishable":    {relay: "i"},
	"log_seal":         {relay: "i", operator: "i"},
	"log_archive":      {},
	"log_opening":      {},
	"erasure":          {},
	"projection":       {},
	"gap":              {relay: "iud", operator: "iud"},
	"lease":            {worker: "iu", relay: "iu", operator: "iu"},
	"audit_checkpoint": {operator: "id"},
	"audit_run":        {operator: "id"},
	"audit_moved":      {operator: "idt"},
	"audit_open":       {operator: "iud"},
	"audit_position":   {operator: "iu"},

	// Who has handled what.
	"consumer":         {worker: "iu"},
	"subscription":     {worker: "iud"},
	"inbox":            {worker: "i"},
	"inbox_generation": {relay: "id"},
	"inbox_dropped":    {relay: "i"},
	"handled_again":    {worker: "iu"},
	"replay":           {operator: "iu"},

	// Failures.
	"delivery_delay":       {worker: "i", relay: "d"},
	"dead_letter":          {worker: "iu", relay: "u", operator: "iu"},
	"failure":              {worker: "iu", relay: "d"},
	"suspect":              {worker: "iud"},
	"quarantine":           {worker: "iu", relay: "d", operator: "u"},
	"queue_policy":         {relay: "iud"},
	"held_aggregate":       {worker: "iud", operator: "ud"},
	"parked_event":         {worker: "iud", operator: "d"},
	"dependency":           {worker: "iud", relay: "d"},
	"dependency_call":      {worker: "id"},
	"dependency_limit":     {operator: "iud"},
	"acknowledged_finding": {operator: "iu"},
	"operator_log":         {operator: "i"},
	"api_key":              {operator: "iu"},

	// The fleet's slots and lanes.
	"worker_pool":       {worker: "iu", operator: "iu"},
	"worker_node":       {worker: "iud", operator: "u"},
	"worker_assignment": {worker: "iud"},
	"worker_report":     {worker: "iud"},
	"worker_work":       {worker: "iud"},
	"scale_event":       {worker: "i", operator: "i"},
	"scale_decision":    {worker: "iud"},
	"lane_set":          {worker: "iu", operator: "iu"},
	"lane":              {worker: "iud"},

	// Stock.
	"movement":          {worker: "i"},
	"position":          {worker: "iu", operator: "u"},
	"misdated_movement": {operator: "iu"},
	"transfer":          {worker: "iu"},
	"low_stock":         {worker: "iu"},
	"lot":               {worker: "iud", operator: "u"},
	"lot_balance":       {worker: "iu"},
	"lot_day":           {worker: "iu", operator: "u"},
	"lot_expiring":      {worker: "iu"},
	"stock":             {worker: "iu", operator: "u"},
	"stock_order":       {worker: "iu"},
	"stock_order_line":  {worker: "iu"},
	"stock_outlook":     {worker: "iu"},
	"stock_receipt":     {worker: "i"},
	"stock_supply":      {worker: "iu"},

	// Planning and purchasing.
	"demand":                    {worker: "iu", operator: "iud"},
	"demand_calendar":           {worker: "iu", operator: "u"},
	"forecast":                  {worker: "iu", operator: "d"},
	"forecast_run":              {worker: "iu", operator: "d"},
	"forecast_outcome":          {worker: "iu"},
	"forecast_outcome_calendar": {worker: "iu"},
	"replenishment_forecast":    {worker: "iu", operator: "id"},
	"replenishment_state":       {worker: "iu", operator: "u"},
	"purchase_order":            {worker: "iu", operator: "iu"},
	"purchase_order_line":       {worker: "iu", operator: "iu"},
	"purchase_order_number":     {worker: "iu"},
	"on_order_booking":          {worker: "i"},
	"dispatch":                  {worker: "iu", operator: "u"},
	"process_instance":          {worker: "iu", operator: "iu"},
	"process_step":              {worker: "i", operator: "i"},
	"process_timer":             {worker: "iud", operator: "iud"},
	"process_early":             {worker: "id", operator: "id"},
	"notification":              {worker: "iu"},

	// Master data. A worker adds the items and locations of events that are not known yet.
	"item":               {worker: "iu", operator: "iu"},
	"location":           {worker: "i", operator: "iu"},
	"supplier":           {operator: "iu"},
	"replenishment_rule": {operator: "iu"},
	"tenant_setting":     {operator: "iu"},
	"source_setting":     {operator: "iu"},
	"import_progress":    {operator: "iu"},
}

// keepers are the functions by which the relay's chores make and drop partitions.
var keepers = []string{"make_log_partition(bigint, bigint)", "make_inbox_partition(integer)", "drop_inbox_partition(integer)"}
