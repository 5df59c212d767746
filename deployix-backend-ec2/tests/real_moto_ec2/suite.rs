//! What has to come true in every account.

use crate::{
    moto::Moto,
    scenario,
    site::{Site, hydra},
    upcast,
};

async fn site() -> Site {
    Site::of(Moto::new().await, &scenario::pair())
}

#[tokio::test]
async fn hydra_deploys_deploys_again_with_no_call_that_writes_and_leaves_an_empty_account() {
    let site = Site::of(Moto::new().await, &hydra());
    scenario::hydra_deploys_deploys_again_with_no_call_that_writes_and_goes(&site).await;
}

#[tokio::test]
async fn a_change_of_one_functionality_calls_for_it_alone() {
    scenario::a_change_of_one_functionality_calls_for_it_alone(&site().await).await;
}

#[tokio::test]
async fn a_functionality_that_goes_takes_its_rules_and_groups_along() {
    let (site, other) = (site().await, site().await);
    scenario::a_functionality_that_goes_takes_its_rules_and_groups_along(&site, &other).await;
}

#[tokio::test]
async fn machines_follow_their_subnet() {
    let (site, fresh) = (site().await, site().await);
    scenario::machines_follow_their_subnet(&site, &fresh).await;
}

#[tokio::test]
async fn machines_move_to_another_network() {
    let (site, fresh) = (site().await, site().await);
    scenario::machines_move_to_another_network(&site, &fresh).await;
}

#[tokio::test]
async fn a_listener_keeps_its_target_group_where_machines_serve_at_another_port() {
    let (site, fresh) = (site().await, site().await);
    scenario::a_listener_keeps_its_target_group_where_machines_serve_at_another_port(&site, &fresh)
        .await;
}

#[tokio::test]
async fn a_pool_and_two_networks_that_talk_over_ipsec_come_and_go() {
    scenario::a_pool_and_two_networks_that_talk_over_ipsec_come_and_go(&site().await).await;
}

#[tokio::test]
async fn a_load_balancer_that_is_opened_to_everybody_is_made_before_the_old_one_goes() {
    let (site, fresh) = (site().await, site().await);
    scenario::a_load_balancer_that_is_opened_to_everybody_is_made_before_the_old_one_goes(
        &site, &fresh,
    )
    .await;
}

#[tokio::test]
async fn a_machine_ends_what_it_is_at_before_it_goes() {
    scenario::a_machine_ends_what_it_is_at_before_it_goes(&site().await).await;
}

#[tokio::test]
async fn the_upcast_network_is_planned_deployed_and_read_back_equal() {
    let site = Site::of(Moto::new().await, &upcast::upcast());
    upcast::is_planned_deployed_and_read_back_equal(&site).await;
}
