#include "control/budget.h"

#include <math.h>

#include "tests/tap.h"

static int near(double a, double b)
{
	return fabs(a - b) < 1e-6;
}

static void plenty(void)
{
	struct budget_claim claims[] = {{.floor = 10, .need = 20, .want = 30, .weight = 1},
					{.floor = 0, .need = 5, .want = 5, .weight = 1}};

	ok(budget_share(claims, 2, 100), "all fits");
	ok(near(claims[0].grant, 30) && near(claims[1].grant, 5), "wants are granted");
	ok(budget_share(claims, 2, 30), "needs fit");
	ok(near(claims[0].grant, 25) && near(claims[1].grant, 5), "slack gives way");
}

static void shortage(void)
{
	struct budget_claim claims[] = {
		{.floor = 60, .need = 100, .want = 100, .entitlement = 50, .weight = 1},
		{.floor = 10, .need = 30, .want = 90, .entitlement = 50, .weight = 1},
	};

	ok(!budget_share(claims, 2, 100), "needs do not fit");
	ok(near(claims[1].grant, 30), "within the entitlement: all it needs");
	ok(near(claims[0].grant, 70), "above it: what is left");
	budget_share(claims, 2, 80);
	ok(near(claims[1].grant, 20) && near(claims[0].grant, 60), "not even entitlements fit");
	budget_share(claims, 2, 50);
	ok(near(claims[1].grant, 10) && near(claims[0].grant, 60), "floors cannot be taken");
}

static void entitlements(void)
{
	ok(near(budget_entitlement(10, 1, 30, 3, 90), 30), "min, and a third of the rest");
	ok(near(budget_entitlement(10, 1, 30, 3, 20), 10), "min is certain");
}

int main(void)
{
	plenty();
	shortage();
	entitlements();
	return done_testing();
}
