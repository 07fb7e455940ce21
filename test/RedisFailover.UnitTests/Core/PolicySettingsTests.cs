using NUnit.Framework;

namespace RedisFailover.UnitTests.Core;

public class PolicySettingsTests
{
    [Test]
    public void Every_setting_that_can_be_changed_is_told_to_the_other_monitors()
        => Assert.That(PolicySettings.Of(new FailoverPolicy { Nodes = [] }).Keys,
            Is.EquivalentTo(ClusterSettings.Names.Append("never-promote")));

    [Test]
    public void What_is_told_is_what_may_be_given()
        => Assert.That(PolicySettings.Of(new FailoverPolicy { Nodes = [] })
            .Where(s => ClusterSettings.Find(s.Key) is { } values && !values.Allow(s.Value)), Is.Empty);
}
