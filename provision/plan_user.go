package provision

import (
	"slices"
	"strings"
)

// maxPasswordWrites is how often a run sets the password of an account: if that
// does not help, something other than the password is wrong.
const maxPasswordWrites = 2

func (p *planner) userObject() string { return "user/" + p.want.Username }

// planUser compares the account, field by field.
func (p *planner) planUser() {
	switch {
	case p.have.User == nil:
		p.createUser()
	case p.have.isSelf(*p.have.User):
		p.note(p.userObject(), "the superuser token's own account: only its token is managed")
	default:
		p.updateUser()
	}
}

func (p *planner) createUser() {
	want := p.want
	fields := UserFields{
		Username:  want.Username,
		Password:  want.login().Password,
		FirstName: new(firstName),
		LastName:  new(want.Owner.lastName()),
	}
	for _, name := range want.groups() {
		fields.Groups = append(fields.Groups, Group{Name: name})
	}
	if want.apiOnly() {
		fields.FirstName, p.clear = new(firstNameOpening), true
	}
	if want.Email != "" {
		fields.Email = &want.Email
	}
	if want.Rule.Superuser {
		fields.Superuser = new(true)
	}
	change := Change{Object: p.userObject(), Action: Created}
	for _, name := range p.have.Similar {
		change.Notes = append(change.Notes, "account "+name+" also exists: its name differs only in upper and lower case")
	}
	if p.have.GroupUnknown {
		change.Notes = append(change.Notes, "not known: whether an account that the superuser token may not see has this name")
	}
	p.add(step{Change: change, write: createUser{Fields: fields, Opens: want.apiOnly()}})
}

// updateUser writes what differs and nothing else.
func (p *planner) updateUser() {
	want, is := p.want, *p.have.User
	update := userUpdate{updateUser: updateUser{ID: is.ID, Adopts: !want.Owner.owns(is)}}
	p.planOpening(&update)
	wrong := !want.apiOnly() && !p.have.PasswordWorks && (is.Active || !want.manages(is) || p.have.blankPassword)
	// Only once the account has its rights back can it be seen whose token it is.
	// Until then its password stays as it is: the token may be another's.
	prove := wrong && is.Active && p.have.Token == tokenHolderUnknown
	if wrong && !prove {
		update.password(want)
	}
	p.compareUser(&update)
	p.addUser(update, p.groupNotes())
	if prove && writes(p.steps) {
		second := userUpdate{updateUser: updateUser{ID: is.ID}}
		second.password(want)
		p.steps[lastWrite(p.steps)].reobserve = true
		p.addUser(second, nil)
	}
}

// planOpening decides whether an account for the API only gets a temporary
// password: because creating its token requires one, or because a password from
// before it was taken over or deactivated must not open it.
func (p *planner) planOpening(update *userUpdate) {
	want, have, is := p.want, p.have, *p.have.User
	if !want.apiOnly() {
		return
	}
	adopts := !want.manages(is)
	update.Opens = adopts || !is.Active || have.blankPassword || !have.PasswordWorks && p.needsPassword()
	p.opens, p.clear = update.Opens, update.Opens || isOpen(is)
	if update.Opens {
		update.Fields.Password, update.Fields.FirstName = want.login().Password, new(firstNameOpening)
	}
	if update.Opens && adopts {
		update.fields = append(update.fields, "password")
	}
}

// compareUser enters the fields that differ, except the password.
func (p *planner) compareUser(update *userUpdate) {
	want, is := p.want, *p.have.User
	for _, name := range want.groups() {
		if !hasGroup(is.Groups, name) {
			update.Fields.Groups = append(update.Fields.Groups, Group{Name: name})
		}
	}
	if len(update.Fields.Groups) > 0 {
		update.Fields.Groups = slices.Concat(is.Groups, update.Fields.Groups)
		update.fields = append(update.fields, "groups")
	}
	if want.Email != "" {
		update.text("email", &update.Fields.Email, is.Email, want.Email)
	}
	update.flag("is_superuser", &update.Fields.Superuser, is.Superuser, want.Rule.Superuser)
	update.flag("is_staff", &update.Fields.Staff, is.Staff, false)
	update.flag("is_active", &update.Fields.Active, is.Active, true)
	opening := want.apiOnly() && is.FirstName == firstNameOpening
	switch {
	case update.Opens && !opening && is.FirstName != firstName:
		update.fields = append(update.fields, "first_name")
	case !update.Opens && !p.clear: // which sets it as well
		update.text("first_name", &update.Fields.FirstName, is.FirstName, firstName)
	}
	update.text("last_name", &update.Fields.LastName, is.LastName, want.Owner.lastName())
}

// addUser adds the step of an update, or the line that nothing differs.
func (p *planner) addUser(update userUpdate, notes []string) {
	change := Change{Object: p.userObject(), Action: Unchanged, Fields: update.fields, Notes: notes}
	if len(update.fields) > 0 {
		change.Action = Updated
	}
	s := step{Change: change}
	if len(update.fields) > 0 || update.Opens {
		s.write, s.reobserve = update.updateUser, true
		// Neither a newer password nor a newer account may be undone.
		s.recheck = !update.Fields.Password.Empty() || update.Fields.Active != nil
	}
	p.add(s)
}

// groupNotes reports the groups that the rule does not name.
func (p *planner) groupNotes() []string {
	var others []string
	for _, group := range p.have.User.Groups {
		if !slices.Contains(p.want.groups(), group.Name) {
			others = append(others, group.Name)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return []string{"also in groups " + strings.Join(others, ", ")}
}

// planClear removes the temporary password again.
func (p *planner) planClear() {
	change := Change{Object: p.userObject(), Action: Unchanged}
	id := ""
	if p.have.User != nil {
		id = p.have.User.ID
		if user := *p.have.User; !p.have.opened && (user.FirstName == firstNameOpening || isOpen(user) && !p.opens) { // by a run that did not finish
			change.Action, change.Fields = Updated, []string{"password"}
		}
	}
	p.add(step{Change: change, write: clearPassword{ID: id, Username: p.want.Username}, recheck: true})
}

// userUpdate is an update being put together, and the names of its fields.
type userUpdate struct {
	updateUser
	fields []string
}

func (u *userUpdate) password(want desired) {
	u.Fields.Password = want.Password
	u.fields = append(u.fields, "password")
}

func (u *userUpdate) text(field string, write **string, is, want string) {
	if is != want {
		*write = &want
		u.fields = append(u.fields, field)
	}
}

func (u *userUpdate) flag(field string, write **bool, is, want bool) {
	if is != want {
		*write = &want
		u.fields = append(u.fields, field)
	}
}
