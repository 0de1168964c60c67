"""Notifications, their templates, and how people want to be told."""

from alembic import op

revision = "notification_0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE addresses (
            address_id uuid NOT NULL,
            recipient_kind text NOT NULL,
            recipient_id uuid NOT NULL,
            channel text NOT NULL,
            address text NOT NULL,
            known_since timestamptz NOT NULL,
            disabled_at timestamptz,
            disabled_because text,
            CONSTRAINT addresses_pkey PRIMARY KEY (address_id),
            CONSTRAINT addresses_recipient_kind_recipient_id_channel_address_key
                UNIQUE (recipient_kind, recipient_id, channel, address)
        )
        """
    )
    op.execute("COMMENT ON COLUMN addresses.disabled_at IS 'when it bounced'")
    op.execute("COMMENT ON COLUMN addresses.disabled_because IS 'the channel''s code'")
    op.execute(
        """
        CREATE TABLE contact_hours (
            recipient_kind text NOT NULL,
            recipient_id uuid NOT NULL,
            quiet_from TIME WITHOUT TIME ZONE,
            quiet_until TIME WITHOUT TIME ZONE,
            time_zone text,
            digest_at TIME WITHOUT TIME ZONE,
            CONSTRAINT contact_hours_pkey PRIMARY KEY (recipient_kind, recipient_id)
        )
        """
    )
    op.execute(
        """
        COMMENT ON COLUMN contact_hours.time_zone IS 'null is the user''s own, or that of the patient''s facility'
        """
    )
    op.execute(
        """
        COMMENT ON COLUMN contact_hours.digest_at IS 'when what was collected is sent; null collects nothing'
        """
    )
    op.execute(
        """
        CREATE TABLE facility_reference (
            name text NOT NULL,
            time_zone text NOT NULL,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT facility_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE invoice_reference (
            number text,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT invoice_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE notifications (
            notification_id uuid NOT NULL,
            recipient_kind text NOT NULL,
            recipient_id uuid NOT NULL,
            facility_id uuid,
            topic text NOT NULL,
            fact text NOT NULL,
            status text NOT NULL,
            variables jsonb NOT NULL,
            subject text,
            body text,
            channel text,
            reason text,
            is_collected boolean NOT NULL,
            digest_id uuid,
            flow uuid NOT NULL,
            queued_at timestamptz NOT NULL,
            rendered_at timestamptz,
            sent_at timestamptz,
            delivered_at timestamptz,
            acknowledged_at timestamptz,
            CONSTRAINT notifications_pkey PRIMARY KEY (notification_id),
            CONSTRAINT notifications_digest_id_fkey FOREIGN KEY(digest_id) REFERENCES notifications (notification_id),
            CONSTRAINT notifications_topic_recipient_kind_recipient_id_fact_key
                UNIQUE (topic, recipient_kind, recipient_id, fact)
        )
        """
    )
    op.execute("COMMENT ON COLUMN notifications.fact IS 'said again, it is not told again'")
    op.execute("COMMENT ON COLUMN notifications.body IS 'null for what is secret, and for who was erased'")
    op.execute("COMMENT ON COLUMN notifications.channel IS 'of the last attempt'")
    op.execute("COMMENT ON COLUMN notifications.reason IS 'why it was suppressed, or the last channel''s code'")
    op.execute("COMMENT ON COLUMN notifications.is_collected IS 'waits for the recipient''s digest'")
    op.execute("COMMENT ON COLUMN notifications.digest_id IS 'the notification that carries it'")
    op.execute("COMMENT ON COLUMN notifications.flow IS 'that began it; what a channel says later belongs there'")
    op.execute(
        """
        CREATE INDEX notifications_collected_idx ON notifications (recipient_id) WHERE is_collected AND status = 'queued'
        """
    )
    op.execute("CREATE INDEX notifications_digest_id_idx ON notifications (digest_id)")
    op.execute("CREATE INDEX notifications_recipient_id_queued_at_idx ON notifications (recipient_id, queued_at)")
    op.execute(
        """
        CREATE TABLE patient_reference (
            facility_id uuid NOT NULL,
            full_name text NOT NULL,
            status text NOT NULL,
            merged_into uuid,
            email text,
            phone text,
            locale text,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT patient_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE preferences (
            recipient_kind text NOT NULL,
            recipient_id uuid NOT NULL,
            topic text NOT NULL,
            channel text NOT NULL,
            wanted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            CONSTRAINT preferences_pkey PRIMARY KEY (recipient_kind, recipient_id, topic, channel)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE subscriptions (
            subscription_id uuid NOT NULL,
            topic text NOT NULL,
            facility_id uuid NOT NULL,
            role text,
            user_id uuid,
            since timestamptz NOT NULL,
            CONSTRAINT subscriptions_pkey PRIMARY KEY (subscription_id),
            CONSTRAINT subscriptions_topic_facility_id_role_user_id_key
                UNIQUE NULLS NOT DISTINCT (topic, facility_id, role, user_id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE templates (
            template_id uuid NOT NULL,
            topic text NOT NULL,
            channel text NOT NULL,
            locale text NOT NULL,
            version integer NOT NULL,
            CONSTRAINT templates_pkey PRIMARY KEY (template_id),
            CONSTRAINT templates_topic_channel_locale_key UNIQUE (topic, channel, locale)
        )
        """
    )
    op.execute("COMMENT ON COLUMN templates.locale IS 'BCP 47, in lower case'")
    op.execute("COMMENT ON COLUMN templates.version IS 'that is in use'")
    op.execute(
        """
        CREATE TABLE user_reference (
            full_name text NOT NULL,
            email text,
            phone text,
            locale text NOT NULL,
            time_zone text NOT NULL,
            status text NOT NULL,
            grants jsonb NOT NULL,
            state_version bigint NOT NULL,
            deleted boolean NOT NULL,
            changed_at timestamptz NOT NULL,
            received_at timestamptz NOT NULL,
            id uuid NOT NULL,
            CONSTRAINT user_reference_pkey PRIMARY KEY (id)
        )
        """
    )
    op.execute("CREATE INDEX user_reference_grants_idx ON user_reference USING gin (grants)")
    op.execute(
        """
        CREATE TABLE deliveries (
            delivery_id uuid NOT NULL,
            notification_id uuid NOT NULL,
            attempt integer NOT NULL,
            channel text NOT NULL,
            address_id uuid,
            call_id uuid,
            locale text NOT NULL,
            template_version integer NOT NULL,
            status text NOT NULL,
            code text,
            asked_at timestamptz NOT NULL,
            answered_at timestamptz,
            CONSTRAINT deliveries_pkey PRIMARY KEY (delivery_id),
            CONSTRAINT deliveries_call_id_key UNIQUE (call_id),
            CONSTRAINT deliveries_address_id_fkey FOREIGN KEY(address_id) REFERENCES addresses (address_id) ON DELETE SET NULL,
            CONSTRAINT deliveries_notification_id_fkey FOREIGN KEY(notification_id) REFERENCES notifications (notification_id),
            CONSTRAINT deliveries_notification_id_attempt_key UNIQUE (notification_id, attempt)
        )
        """
    )
    op.execute("COMMENT ON COLUMN deliveries.attempt IS '1, 2, 3, … over all channels'")
    op.execute("COMMENT ON COLUMN deliveries.call_id IS 'what receipts refer to'")
    op.execute("COMMENT ON COLUMN deliveries.locale IS 'of the template'")
    op.execute("COMMENT ON COLUMN deliveries.template_version IS '0 is the one that is shipped'")
    op.execute("COMMENT ON COLUMN deliveries.code IS 'what the channel said: an SMTP or HTTP status'")
    op.execute("CREATE INDEX deliveries_address_id_idx ON deliveries (address_id)")
    op.execute(
        """
        CREATE TABLE template_versions (
            template_id uuid NOT NULL,
            version integer NOT NULL,
            subject text,
            body text NOT NULL,
            registered_by text NOT NULL,
            registered_at timestamptz NOT NULL,
            CONSTRAINT template_versions_pkey PRIMARY KEY (template_id, version),
            CONSTRAINT template_versions_template_id_fkey FOREIGN KEY(template_id) REFERENCES templates (template_id)
        )
        """
    )
