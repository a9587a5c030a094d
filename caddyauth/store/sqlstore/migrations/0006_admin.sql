-- Whether the configuration names the user as an administrator. The next start sets it for those who are: to the store they become
-- administrators then, so they sign in anew once.
ALTER TABLE account ADD COLUMN admin BIGINT NOT NULL DEFAULT 0;
