-- One account of demand: analytics reads forecasting's.

-- +goose Up
-- A fleet of the version before may still run beside this one and write them.
COMMENT ON TABLE forecast_outcome IS 'no longer used; to be dropped once no fleet of a version before 0015 runs';
COMMENT ON TABLE forecast_outcome_calendar IS 'no longer used; to be dropped once no fleet of a version before 0015 runs';

-- +goose Down
COMMENT ON TABLE forecast_outcome IS NULL;
COMMENT ON TABLE forecast_outcome_calendar IS NULL;
