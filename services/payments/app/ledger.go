package app

import "github.com/google/uuid"

// Posting is one entry of the ledger: an amount that leaves one account for another, so that the sum over all accounts
// is always zero. Postings are only ever added.
type Posting struct {
	IntentID uuid.UUID
	Kind     Kind      // OpCapture or OpRefund
	RefundID uuid.UUID // Nil but for a refund
	Debit    string    // account that it is added to
	Credit   string    // account that it is taken from
	Amount   int64     // minor units, above zero
	Currency string
}

// Accounts of the ledger. What a provider has taken for us it owes us: its clearing account is an asset.
const (
	Sales   = "sales"
	Refunds = "refunds" // what was given back of sales
)

// Clearing is the account of what a provider owes us.
func Clearing(provider string) string { return "clearing:" + provider }

func (i *Intent) post(kind Kind, refund uuid.UUID, debit, credit string, amount int64) {
	i.Postings = append(i.Postings, Posting{
		IntentID: i.ID, Kind: kind, RefundID: refund, Debit: debit, Credit: credit, Amount: amount, Currency: i.Currency,
	})
}
