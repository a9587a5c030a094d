package auth

// startAlone starts an app as Caddy does when every other app starts, too.
func (a *App) startAlone() error {
	if err := a.Start(); err != nil {
		return err
	}
	a.charge.begin()
	return nil
}
